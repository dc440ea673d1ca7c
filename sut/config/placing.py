"""How Ray places the nodes of a cluster: the section `ray` of a cluster file.

Knows what a node takes and what the file may say; starts nothing and imports no Ray.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from data.strict_yaml import PositiveFloat, StrictStruct, Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Count = Annotated[int, msgspec.Meta(ge=0)]
CPU_DEVICE = "cpu"
# A host of which a node takes this much stands for that host: Ray offers 1 of `node:ADDRESS`.
_A_TRACE = 0.001
_LOOPBACK = "127.0.0.1"
PLACED_FILE = "placed.yaml"


class MachineSpec(StrictStruct, frozen=True):
    """A machine that joins the Ray cluster that `sut cluster up` starts.

    Attributes:
        name: for people; no other machine has it.
        address: of the machine, as the head reaches it.
        reach: the words that come before a command so that it runs there, such as ssh user@host.
        resources: of Ray, beside the CPU cores and GPUs that Ray finds there.
    """

    name: Text
    address: Text
    reach: tuple[Text, ...]
    resources: Mapping[str, Count] = {}


class RaySpec(StrictStruct, frozen=True):
    """The section `ray` of a cluster file.

    Attributes:
        address: HOST:PORT of a Ray cluster that runs; None: `sut cluster up` starts one here.
        placing: "spread": nodes on as many machines as there are; "packed": on as few.
        resource: of Ray, of which a device takes 1; None: a CPU core for `cpu`, else a GPU.
        listen: address of this machine, where a Ray cluster that is started here listens.
        resources: of this machine in such a cluster, beside what Ray finds.
        machines: that join such a cluster.
        python: of the program on the other machines; None: the same path as here.
        start_s: seconds at most until Ray has placed the nodes, and again until they listen.
        restarts: how often a lost node is started again.
    """

    address: Text | None = None
    placing: Literal["spread", "packed"] = "spread"
    resource: Text | None = None
    listen: Text = _LOOPBACK
    resources: Mapping[str, Count] = {}
    machines: tuple[MachineSpec, ...] = ()
    python: Text | None = None
    start_s: PositiveFloat = 120.0
    restarts: Count = 3

    def __post_init__(self) -> None:
        """Refuse what belongs to a Ray cluster that somebody else started, and names twice."""
        if self.address is not None:
            for key in ("machines", "resources"):
                if getattr(self, key):
                    raise ValueError(
                        f"{key} is given beside address; expected it for a Ray cluster that "
                        "sut cluster up starts"
                    )
        if self.machines and self.listen == _LOOPBACK:
            raise ValueError(
                f"listen is {_LOOPBACK} and machines is given; expected an address of this machine "
                "that they reach"
            )
        for what in ("name", "address"):
            seen = [getattr(machine, what) for machine in self.machines]
            twice = next((each for each in seen if seen.count(each) > 1), None)
            if twice is not None:
                raise ValueError(f'two machines have the {what} "{twice}"; expected each once')


def takes(devices: Sequence[str], resource: str | None, host: str | None) -> dict[str, float]:
    """Return what a node takes of Ray's resources, by their names.

    Args:
        devices: of the node.
        resource: see RaySpec.
        host: it must be placed on; None: on any.
    """
    found: dict[str, float] = dict(
        Counter(resource or ("CPU" if device == CPU_DEVICE else "GPU") for device in devices)
    )
    if host is not None:
        found[f"node:{host}"] = _A_TRACE
    return found


def check_devices(name: str, devices: Sequence[str], resource: str | None) -> None:
    """Refuse GPU numbers that Ray would not give to a node.

    Raises:
        ValueError: Ray chooses the GPUs, and the node sees them as 0, 1 and so on.
    """
    gpus = [device for device in devices if device != CPU_DEVICE]
    counted = [str(number) for number in range(len(gpus))]
    if resource is None and gpus != counted:
        raise ValueError(
            f"devices of {name} are {', '.join(devices)}; expected {', '.join(counted)}: Ray "
            "chooses the GPUs of a node, which counts them from 0"
        )


def is_loopback_host(host: str) -> bool:
    """Return whether nobody outside this machine can reach a host; IPv6 may be in brackets."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def words_of(amounts: Mapping[str, float]) -> str:
    """Return amounts of Ray's resources in words: `2 GPU and 1 CPU`."""
    return " and ".join(f"{amount:g} {name}" for name, amount in amounts.items()) or "nothing"


def misfit(
    wanted: Mapping[str, Mapping[str, float]], offered: Mapping[str, Mapping[str, float]]
) -> str | None:
    """Return why no machine could ever hold one of the nodes, in a line; None: each has one.

    Args:
        wanted: what each node takes, by its name.
        offered: all that each machine has, by its address.
    """
    for name, amounts in wanted.items():
        if not any(_holds(machine, amounts) for machine in offered.values()):
            there = "; ".join(
                f"{address} has {words_of(_among(machine, amounts))}"
                for address, machine in offered.items()
            )
            return (
                f"node {name} takes {words_of(amounts)}, and no machine has that: {there or 'none'}"
            )
    return None


def _holds(machine: Mapping[str, float], amounts: Mapping[str, float]) -> bool:
    return all(machine.get(name, 0) >= amount for name, amount in amounts.items())


def _among(machine: Mapping[str, float], amounts: Mapping[str, float]) -> dict[str, float]:
    return {name: machine.get(name, 0) for name in amounts}


def state_folder(file: Path) -> Path:
    """Return the folder beside a cluster file that is there while its nodes are up."""
    return file.with_name(file.name + ".up")
