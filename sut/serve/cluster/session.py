"""One session of a node: finds what the run needs, lends it worker processes, watches them.

Not on the agent's own thread, because to prepare samples takes long. The agent speaks for it. Knows
what the run asked for, and processes; no socket of ZeroMQ.
"""

from __future__ import annotations

import os
import pickle
import secrets
import socket
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from backends.base import WITHOUT_MODEL
from data.preprocess import prepare
from data.variant import load_variant
from sut.base.errors import ConfigError, WorkerError
from sut.config.cluster import definition_sha256
from sut.config.prepare import resolve_workload
from sut.config.settings import Limits
from sut.serve.cluster import messages
from sut.serve.cluster.checks import model_files, same
from sut.serve.cluster.watched import Watched
from sut.serve.cluster.worker import Listening, SystemListening
from sut.serve.samples import SampleSource
from sut.serve.specs import process_specs
from sut.serve.workers.failures import Raised, describe, named
from sut.serve.workers.wire import Kind, Reader, pack_object

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from data.benchmark import Benchmark
    from sut.config.arguments import Travel
    from sut.config.settings import HarnessSettings, Lent
    from sut.config.workload import Workload
    from sut.serve.cluster.security import Keys
    from sut.serve.workers.keeper import Keeper

# A process that closes its connection ends at once; the run waits a little longer to hear how.
_END_S = 0.2

# Name and cores of the one process of a node whose samples travel to it: all cores.
_SYSTEM = ("system", "")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a node offers to runs.

    Attributes:
        devices: that a run may use; empty: all.
        affinity: cores of each device's workers; see HarnessSettings.
        ports: that workers listen at; empty: any.
    """

    devices: tuple[str, ...] = ()
    affinity: dict[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()


class Place(NamedTuple):
    """Where a session is: what its agent knows.

    Attributes:
        node: its name.
        host: to listen at.
        offer: to runs.
        keys: of the node.
    """

    node: str
    host: str
    offer: Offer
    keys: Keys | None


class Keepers(NamedTuple):
    """Who keeps the processes of a node.

    Attributes:
        workers: one a device; samples lie on the node.
        systems: one in all; samples travel to it.
    """

    workers: Keeper
    systems: Keeper


class Asked(NamedTuple):
    """What describes a system, as sut.serve.specs.SystemRequest, and what it is made for."""

    workload: Workload
    harness: HarnessSettings
    benchmark: Benchmark


class Session:
    """A run that this node works for, from its first message to its last.

    `run` belongs on a thread that outlives all sessions: the kernel kills a worker process when the
    thread that started it ends.
    """

    def __init__(
        self, place: Place, who: str, keepers: Keepers, tell: Callable[[messages.Message], None]
    ) -> None:
        self.number = secrets.randbits(64)
        self.who = who
        self._place = place
        self._keepers = keepers
        self._tell = tell
        self._orders: SimpleQueue[messages.Begin | None] = SimpleQueue()
        self._ended, self._end = os.pipe()
        self._spoiled = False

    def begin(self, asked: messages.Begin) -> None:
        """Do what the run asks for; once."""
        self._orders.put(asked)

    def end(self, *, spoiled: bool) -> None:
        """Let the workers go; kill them if the session is spoiled. It may take a while."""
        self._spoiled = self._spoiled or spoiled
        self._orders.put(None)
        os.write(self._end, b"x")

    def close(self) -> None:
        """Free what it holds; `run` has returned."""
        os.close(self._ended)
        os.close(self._end)

    def run(self) -> None:
        """Serve the run from `begin` to `end`; then the workers are free."""
        asked = self._orders.get()
        if asked is None:
            return
        try:
            self._work(asked)
        except _Spoiled:
            pass
        except Exception as error:  # noqa: BLE001 - the run hears of it, and the node goes on
            raised = named(describe(error), self._place.node, "begin")
            kinds = tuple(kind.__name__ for kind in type(raised).__mro__)
            self._tell(messages.Refused(kinds, str(raised)))

    def _work(self, asked: messages.Begin) -> None:
        request = self._found(asked)
        samples = request.workload.samples
        assert samples is not None, "they were prepared just now"
        travel = asked.remote.travel
        keeper = self._keepers.workers if travel is None else self._keepers.systems
        workers = [_SYSTEM] if travel is not None else request.harness.process_workers()
        if asked.remote.fresh:
            keeper.dismiss()
        log = sys.stderr.buffer
        with keeper.lend(workers, log) as lent:
            links = [socket.socket(fileno=os.dup(each.fd)) for each in lent]
            try:
                watched = Watched(workers, [each.pid for each in lent], links, self._ended)
                if travel is None:
                    listening = self._listening(request, lent)
                else:
                    listening = [self._system_listening(request, travel)]
                ports = _ports(listening, watched)
                self._tell(messages.Ready(ports, samples.count, samples.digest))
                self._watch(watched, keeper)
            finally:
                for link in links:
                    link.close()
            if self._spoiled:
                raise _Spoiled

    def _found(self, asked: messages.Begin) -> Asked:
        """Find the benchmark, its model and its samples, and compare them with the run's."""
        node, offer, remote = self._place.node, self._place.offer, asked.remote
        harness = replace(asked.harness, affinity=offer.affinity)
        for device in harness.devices:
            if offer.devices and device not in offer.devices:
                raise ConfigError(
                    f"node {node}: has no device {device}; expected one of "
                    f"{', '.join(offer.devices)}."
                )
        model, data = (None if path is None else Path(path) for path in (remote.model, remote.data))
        benchmark = load_variant(
            remote.benchmark, resolution=remote.resolution, pixels=remote.pixels, model=model
        )
        found = definition_sha256(benchmark)
        same(node, f"the definition of benchmark {benchmark.name}", found, remote.definition)
        workload = resolve_workload(benchmark, harness.backend, model)
        same(node, "the model", model_files(workload), asked.model)
        if remote.travel is not None:  # the node holds no data: each sample comes with its query
            threads = replace(harness, workers="thread")
            return Asked(workload.with_samples(None), threads, benchmark)
        if harness.backend in WITHOUT_MODEL and data is None:
            return Asked(workload.with_samples(None), harness, benchmark)
        self._tell(messages.Step("preparing samples"))
        return Asked(workload.with_samples(prepare(benchmark, data)), harness, benchmark)

    def _listening(self, request: Asked, lent: Sequence[Lent]) -> list[Listening]:
        """Return what every worker listens for in this session."""
        place = self._place
        source = SampleSource.of(request.workload, ())
        where = (self.number, place.host, place.offer.ports, place.keys)
        specs = process_specs(request, Limits(), lent)
        return [Listening(*where, spec.executor, source) for spec in specs]

    def _system_listening(self, request: Asked, travel: Travel) -> Listening:
        """Return what the one process of a system whose samples travel listens for."""
        place = self._place
        first, *_ = process_specs(request, Limits(), ())
        source = SampleSource.of(request.workload, ())
        return SystemListening(
            *(self.number, place.host, place.offer.ports, place.keys, first.executor, source),
            *(place.node, request, request.benchmark, travel),
        )

    def _watch(self, watched: Watched, keeper: Keeper) -> None:
        """Wait for the end of the session; tell the run of every worker that ends before."""
        while True:
            for worker, how in watched.wait():
                if worker is None:
                    return
                self._spoiled = True
                watched.forget(worker)
                known = how or keeper.how_it_ended(watched.workers[worker], _END_S)
                self._tell(messages.WorkerEnded(worker, known or "a closed connection"))


def _ports(listening: Sequence[Listening], watched: Watched) -> tuple[int, ...]:
    """Let every worker listen; return their ports.

    Raises:
        WorkerError: one ended or stands still.
        _Spoiled: the run is gone.
    """
    for link, what in zip(watched.links, listening, strict=True):
        link.sendall(pack_object(Kind.CALL, ("listen", (what,))))
    ports: dict[int, int] = {}
    while len(ports) < len(listening):
        for worker, how in watched.wait():
            if worker is None:
                raise _Spoiled
            name, _ = watched.workers[worker]
            if how:
                raise WorkerError(f"{name}: its process ended with {how}")
            ports[worker] = _answer(name, watched.links[worker])
    return tuple(ports[worker] for worker in range(len(listening)))


class _Spoiled(Exception):
    """The worker processes must not be used again."""


def _answer(worker: str, link: socket.socket) -> Any:
    """Return what a worker process answers to a call."""
    try:
        found = [pickle.loads(body) for _, body in Reader(link).receive()]
    except (EOFError, OSError) as error:
        raise WorkerError(f"{worker}: its process ended before it listened") from error
    if isinstance(found[0], Raised):
        raise named(found[0], worker, "listen")
    return found[0]
