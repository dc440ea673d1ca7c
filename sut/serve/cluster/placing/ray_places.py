"""Ray as the head uses it: start or find it, let it find places, hold a node in each.

The only importer of Ray. Whatever Ray does wrong is one line.
"""

from __future__ import annotations

import contextlib
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import cloudpickle
from ray.util import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from sut.base.errors import ConfigError, SutError
from sut.config.placing import misfit, words_of
from sut.serve.cluster.placing import holder
from sut.serve.cluster.placing.machines import OBJECT_STORE_BYTES, Joined
from sut.serve.cluster.placing.watch import Ended, Listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sut.config.placing import MachineSpec, RaySpec

# Actors of one name cannot be twice in a namespace, so names of nodes are unique on a Ray cluster.
NAMESPACE = "loadgen-sut"
_STRATEGIES = {"spread": "SPREAD", "packed": "PACK"}
_STEP_S = 0.1
# How long the actor waits for the end of its agent before it looks for other calls.
_TURN_S = 1.0
_STOP_S = 8.0
# A machine that has left may start anew, so it is asked to join again as long as the cluster is up.
_AGAIN_S = 10.0
# Ray's own settings: no idle Python processes of 80 MB each; machines whose head is gone give up;
# no node behind all other processes.
_SYSTEM = {
    "enable_worker_prestart": False,
    "prestart_worker_first_driver": False,
    "gcs_rpc_server_reconnect_timeout_s": 5,
    "worker_niceness": 0,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a node needs of its place.

    Attributes:
        name: of the node; no other node on this Ray has it.
        takes: of Ray's resources.
        command: the words that start its agent; `{listen}` in them is replaced there.
        listen: HOST:PORT of its agent; without a host, that of its machine; port 0: a free one.
    """

    name: str
    takes: Mapping[str, float]
    command: tuple[str, ...]
    listen: str


class Connection:
    """Ray as this process is connected to it, and the machines that were brought into it.

    Attributes:
        address: HOST:PORT of Ray.
    """

    def __init__(self, spec: RaySpec, address: str, logs: Path) -> None:
        self._spec = spec
        self._logs = logs
        self._joined: list[Joined] = []
        self.address = address

    def join(self, check: Callable[[], None]) -> None:
        """Let the machines of the file join; `check` is called meanwhile, see `placed`.

        Raises:
            SutError: one cannot be reached, or does not join in time.
        """
        spec = self._spec
        self._joined = [self._join(machine) for machine in spec.machines]
        wanted = {machine.address: machine.name for machine in spec.machines}
        end_s = time.monotonic() + spec.start_s
        while missing := set(wanted) - set(offered()):
            check()
            if gone := self.gone():
                raise SutError(gone)
            if time.monotonic() > end_s:
                names = ", ".join(sorted(wanted[address] for address in missing))
                raise SutError(f"machines that have not joined after {spec.start_s:g} s: {names}.")
            time.sleep(_STEP_S)

    def _join(self, machine: MachineSpec) -> Joined:
        python, log = self._spec.python or sys.executable, self._logs / f"{machine.name}.log"
        return Joined(machine, python, self.address, log)

    def join_again(self) -> None:
        """Let machines that have left join again, each now and then."""
        for index, joined in enumerate(self._joined):
            if joined.gone() and time.monotonic() - joined.since_s > _AGAIN_S:
                joined.leave()
                self._joined[index] = self._join(joined.machine)

    def gone(self) -> str:
        """Return which machines have left, in a line; empty: none.

        Raises:
            SutError: Ray on this machine has ended, and this process had started it.
        """
        if self._spec.address is None and self._spec.listen not in offered():
            raise SutError("Ray on this machine has ended.")
        return "; ".join(filter(None, (machine.gone() for machine in self._joined)))

    def close(self) -> None:
        """Let the machines leave, and wait until nothing is left there."""
        for machine in self._joined:
            machine.leave()
        for machine in self._joined:
            machine.close()


@contextmanager
def connected(spec: RaySpec, folder: str) -> Iterator[Connection]:
    """Be connected to Ray; a Ray cluster that was started here ends afterwards.

    Args:
        spec: of the cluster file.
        folder: for the files of a Ray cluster that is started here.

    Raises:
        SutError: Ray cannot be reached or started.
    """
    quiet = {"namespace": NAMESPACE, "log_to_driver": False, "configure_logging": False}
    own = {
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "resources": dict(spec.resources),
        "_node_ip_address": spec.listen,
        "_temp_dir": folder,
        "_system_config": _SYSTEM,
    }
    try:
        context: Any = ray.init(
            address=spec.address or "local", **quiet, **({} if spec.address else own)
        )
    except Exception as error:  # where Ray times out, it raises no other type
        where = spec.address or spec.listen
        raise SutError(f"Ray at {where} cannot be used: {_first_line(error)}.") from error
    connection = Connection(spec, context.address_info["gcs_address"], Path(folder))
    try:
        yield connection
    finally:
        connection.close()
        ray.shutdown()


def offered() -> dict[str, dict[str, float]]:
    """Return all that each machine of the Ray cluster has, by its address."""
    found: dict[str, dict[str, float]] = {}
    for node in ray.nodes():
        if node["Alive"]:
            found[node["NodeManagerAddress"]] = node["Resources"]
    return found


@contextmanager
def placed(
    wishes: Sequence[Wish], spec: RaySpec, check: Callable[[], None]
) -> Iterator[dict[str, RayPlace]]:
    """Hold a place for every node, all or none, and yield them by name; nothing runs in them yet.

    Args:
        wishes: of all nodes.
        spec: of the cluster file.
        check: called while it waits; raises what ends the wait.

    Raises:
        ConfigError: no machine could ever hold a node, or a node of this name runs already.
        SutError: there was no room for too long.
    """
    wanted = {wish.name: wish.takes for wish in wishes}
    if why := misfit(wanted, offered()):
        raise ConfigError(f"{why}.")
    if taken := sorted(set(wanted) & set(ray.util.list_named_actors())):
        raise ConfigError(
            f"node {taken[0]}: another cluster on this Ray has a node of that name; expected each "
            "once."
        )
    group = placement_group(list(map(dict, wanted.values())), strategy=_STRATEGIES[spec.placing])
    places: dict[str, RayPlace] = {}
    try:
        _wait_for_room(group, wanted, spec, check)
        for index, wish in enumerate(wishes):
            strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
            places[wish.name] = RayPlace(wish, strategy, spec.start_s)
        yield places
    finally:
        for place in places.values():
            place.stop()
        end_s = time.monotonic() + _STOP_S
        for place in places.values():
            place.close(end_s)
        remove_placement_group(group)


def _wait_for_room(
    group: Any, wanted: Mapping[str, Mapping[str, float]], spec: RaySpec, check: Callable[[], None]
) -> None:
    end_s = time.monotonic() + spec.start_s
    while not group.wait(_STEP_S):
        check()
        if time.monotonic() > end_s:
            asked = {name for amounts in wanted.values() for name in amounts}
            free = words_of({k: v for k, v in ray.available_resources().items() if k in asked})
            all_ = "; ".join(f"{name}: {words_of(amounts)}" for name, amounts in wanted.items())
            raise SutError(
                f"Ray found no room for the nodes within {spec.start_s:g} s. They take {all_}; "
                f"free is {free}."
            )


class RayPlace:
    """A place for one node: see watch.Place. The actor in it dies with this process."""

    def __init__(
        self, wish: Wish, strategy: PlacementGroupSchedulingStrategy, start_s: float
    ) -> None:
        self._name = wish.name
        self._start = (list(wish.command), wish.listen, start_s)
        cloudpickle.register_pickle_by_value(holder)
        known = {"CPU", "GPU"}
        self._options = ray.remote(holder.Holder).options(
            name=wish.name,
            num_cpus=wish.takes.get("CPU", 0),
            num_gpus=wish.takes.get("GPU", 0),
            resources={key: amount for key, amount in wish.takes.items() if key not in known},
            scheduling_strategy=strategy,
        )
        self._actor: Any = None
        self._call: Any = None

    def start(self) -> None:
        """See Place."""
        if self._actor is None:
            try:
                self._actor = self._options.remote()
            except ValueError:  # the name is that of the lost one, which Ray has not given up yet
                return
        self._call = self._actor.start.remote(*self._start)

    def report(self) -> Listening | Ended | None:
        """See Place."""
        if self._actor is None:
            self.start()
        if self._call is None or not ray.wait([self._call], timeout=0)[0]:
            return None
        try:
            said = ray.get(self._call)
        except ray.exceptions.ActorUnavailableError:
            said = None  # it may come back; if not, Ray says that it died
        except ray.exceptions.RayError as error:
            self._call, self._actor = None, None
            return Ended(f"Ray lost it: {_first_line(error)}")
        if said is None:
            self._call = self._actor.wait_end.remote(_TURN_S)
            return None
        if isinstance(said, dict) and "address" in said:
            self._call = self._actor.wait_end.remote(_TURN_S)
            return Listening(**said)
        self._call = None
        return Ended(said["error"], said["host"]) if isinstance(said, dict) else Ended(said)

    def stop(self) -> None:
        """Tell the agent to end."""
        if self._actor is not None:
            with contextlib.suppress(ray.exceptions.RayError):
                self._call = self._actor.stop.remote()

    def close(self, end_s: float) -> None:
        """Wait for the end of the agent until `end_s`, then end its actor, and it with it."""
        if self._actor is not None:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.wait([self._call], timeout=max(0.0, end_s - time.monotonic()))
                ray.kill(self._actor)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
