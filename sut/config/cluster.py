"""A cluster: machines whose devices answer a run over the network, as a YAML file names them.

Knows the file, and what a node must find to answer for the same benchmark; starts nothing.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from data.benchmark import benchmark_names, load_benchmark
from data.dataset_schema import ArraysData, SyntheticData
from data.strict_yaml import StrictStruct, Text, load_strict
from sut.base.errors import ConfigError
from sut.config.arguments import Travel
from sut.config.placing import (
    PLACED_FILE,
    RaySpec,
    check_devices,
    is_loopback_host,
    state_folder,
)

if TYPE_CHECKING:
    from data.benchmark import Benchmark
    from sut.config.arguments import Arguments

# Between the name of a node and its device: `alpha/0`.
_SEPARATOR = "/"
_PORTS = range(1 << 16)

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
NodeName = Annotated[str, msgspec.Meta(pattern=_NAME)]


class NodeSpec(StrictStruct, frozen=True):
    """One machine of a cluster.

    Attributes:
        name: no other node has it.
        address: HOST:PORT of its agent, `sut cluster node`; empty: Ray finds it a place.
        devices: to use, as its backend names them.
    """

    name: NodeName
    address: Text = ""
    devices: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an address that is none, and devices that are named twice or not at all."""
        try:
            if self.address:
                parse_address(self.address)
        except ConfigError as error:  # load_strict adds the place to a ValueError
            raise ValueError(str(error).removesuffix(".")) from error
        if not self.devices or len(set(self.devices)) < len(self.devices):
            raise ValueError(
                f"devices of {self.name} are {', '.join(self.devices) or 'none'}; expected one or "
                "more, each once"
            )

    @property
    def host(self) -> str | None:
        """Return the host of its address; None: it has none yet."""
        return parse_address(self.address)[0] if self.address else None

    @property
    def worker_devices(self) -> tuple[str, ...]:
        """Return its devices as the settings of a run name them: `alpha/0`."""
        return tuple(f"{self.name}{_SEPARATOR}{device}" for device in self.devices)


class Cluster(StrictStruct, frozen=True):
    """`sut run --cluster FILE`: the machines, and the keys that they know each other by.

    Attributes:
        nodes: one or more, each with a name and an address of its own.
        keys: folder of `sut cluster keys`, relative to the file; None: all nodes are on loopback.
        ray: how Ray places the nodes; None: they run already, at their addresses.
    """

    nodes: tuple[NodeSpec, ...]
    keys: Text | None = None
    ray: RaySpec | None = None

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        if not self.nodes:
            raise ValueError("nodes is empty; expected one or more")
        for what in ("name", "address"):
            seen = [each for node in self.nodes if (each := getattr(node, what))]
            twice = next((each for each in seen if seen.count(each) > 1), None)
            if twice is not None:
                raise ValueError(f'two nodes have the {what} "{twice}"; expected each once')
        for node in self.nodes:
            if self.ray is not None:
                check_devices(node.name, node.devices, self.ray.resource)
            elif not node.address:
                raise ValueError(
                    f"node {node.name} has no address; expected HOST:PORT of its agent, or a "
                    "section ray, which finds it a place"
                )
            if self.keys is None and node.address and not is_loopback(node.address):
                raise ValueError(
                    f"node {node.name} at {node.address} is not on loopback, and no keys are named;"
                    " make some with sut cluster keys DIR, and name the folder as keys"
                )


@dataclass(frozen=True, slots=True)
class Remote:
    """Where remote workers are, and what their nodes must find by themselves.

    Attributes:
        nodes: of the cluster.
        keys: absolute path of the folder of keys, or None.
        benchmark: its name, or the absolute path of its file.
        definition: SHA-256 of the benchmark's definition.
        resolution: another size of its images, or None.
        pixels: samples are 8-bit pixels; see data.variant.in_pixels.
        model: absolute path of the user's own model, or None.
        data: absolute path of data instead of the benchmark's, or None.
        travel: how samples travel to the nodes with each query; None: they are there already.
        fresh: the nodes start new worker processes, and keep none of an earlier run.
    """

    nodes: tuple[NodeSpec, ...]
    keys: str | None
    benchmark: str
    definition: str
    resolution: str | None = None
    pixels: bool | None = None
    model: str | None = None
    data: str | None = None
    travel: Travel | None = None
    fresh: bool = False


def read_cluster(path: Path) -> Cluster:
    """Read a cluster file for a run: each node has an address, Ray's are where Ray has put them.

    Raises:
        ConfigError: a key or value is wrong, with the file and line; or Ray's nodes are not up.
    """
    found = read_cluster_file(path)
    if found.ray is None:
        return found
    placed = state_folder(path) / PLACED_FILE
    if not placed.is_file():
        raise ConfigError(f"{path}: its nodes are not up. Start them: sut cluster up {path}.")
    return read_cluster_file(placed)


def read_cluster_file(path: Path) -> Cluster:
    """Read a cluster file; its keys become an absolute path.

    Raises:
        ConfigError: a key or value is wrong, with the file and line.
    """
    found = load_strict(path, Cluster)
    if found.keys is None:
        return found
    folder = path.absolute().parent / Path(found.keys).expanduser()
    return msgspec.structs.replace(found, keys=str(folder))


def remote_of(cluster: Cluster, arguments: Arguments, benchmark: Benchmark) -> Remote:
    """Return what the nodes of a cluster must find, to answer for this benchmark.

    Raises:
        ConfigError: its samples are no images, which were to travel.
    """
    made = isinstance(benchmark.dataset, ArraysData | SyntheticData)
    if arguments.network == "jpeg" and made:
        raise ConfigError(
            f"--network jpeg: the samples of {benchmark.name} are no images. Use --network raw, or "
            "lossless."
        )
    name = benchmark.name
    known = name in benchmark_names() and load_benchmark(name).file == benchmark.file
    return Remote(
        nodes=cluster.nodes,
        keys=cluster.keys,
        benchmark=name if known else str(benchmark.file),
        definition=definition_sha256(benchmark),
        resolution=arguments.resolution,
        pixels=arguments.pixels,
        model=_absolute(arguments.model),
        data=_absolute(arguments.data),
        travel=arguments.network,
    )


def definition_sha256(benchmark: Benchmark) -> str:
    """Return the SHA-256 of what a benchmark's file says, wherever the file lies."""
    fields = {
        name: getattr(benchmark, name) for name in benchmark.__struct_fields__ if name != "file"
    }
    return sha256(msgspec.json.encode(fields, order="deterministic", enc_hook=str)).hexdigest()


def own_name(device: str) -> str:
    """Return the name that a device of a cluster has on its node: `0` for `alpha/0`."""
    return device.partition(_SEPARATOR)[2]


def node_name(device: str) -> str:
    """Return the node of a device of a cluster: `alpha` for `alpha/0`."""
    return device.partition(_SEPARATOR)[0]


def check_name(name: str) -> None:
    """Refuse a name of a node that no cluster file may have.

    Raises:
        ConfigError: it has other characters.
    """
    if not re.fullmatch(_NAME, name):
        raise ConfigError(
            f'--name "{name}"; expected letters and digits, with "." "_" "-" between or after '
            "them, such as gpu-7."
        )


def parse_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT; the host may be an IPv6 address in brackets.

    Raises:
        ConfigError: it has another form, or the port is none.
    """
    host, colon, port = text.rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if in_brackets else host
    if not (colon and bare and port.isdecimal() and int(port) in _PORTS):
        raise ConfigError(f'address "{text}"; expected HOST:PORT, such as 127.0.0.1:7700.')
    if ":" in bare and not in_brackets:
        raise ConfigError(f'address "{text}"; expected an IPv6 address as [ADDRESS]:PORT.')
    return bare, int(port)


def is_loopback(address: str) -> bool:
    """Say whether nobody outside this machine can reach HOST:PORT."""
    return is_loopback_host(parse_address(address)[0])


def is_of_this_machine(address: str) -> bool:
    """Say whether HOST:PORT is one of this machine's own addresses."""
    host, _ = parse_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
