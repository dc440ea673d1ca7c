"""What a finished test was made of, read back from its config.yaml and environment.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import DataError
from sut.record.run_folder import CONFIG_FILE, ENVIRONMENT_FILE

if TYPE_CHECKING:
    from pathlib import Path


class RanModel(msgspec.Struct, frozen=True):
    """The model's file."""

    path: str
    sha256: str
    origin: str


class RanData(msgspec.Struct, frozen=True):
    """The samples: how many, and the digest of their content."""

    count: int
    digest: str


class RanSetting(msgspec.Struct, frozen=True):
    """The value of a harness setting."""

    value: object


class Ran(msgspec.Struct, frozen=True):
    """What config.yaml says of a test.

    Attributes:
        harness: settings by name.
        model: None for a backend without one.
        data: None if no samples were read.
    """

    harness: dict[str, RanSetting]
    model: RanModel | None
    data: RanData | None


class RanNode(msgspec.Struct, frozen=True):
    """A node of the network division: what it said of itself.

    Attributes:
        name: unique in its cluster.
        address: where it listens.
        devices: that ran.
        machine: a hash that tells machines apart.
        software: of its network, with versions.
    """

    name: str
    address: str
    devices: str
    machine: str
    software: str


class RanNetwork(msgspec.Struct, frozen=True):
    """A test whose samples travelled to nodes.

    Attributes:
        travel: how; see sut.serve.network.packing.
        machine: LoadGen's; see RanNode.
        messages: that the QDL sent with samples.
        samples: that were in them.
        bytes: that all of them had, without heads.
        nodes: of the SUT.
    """

    travel: str
    machine: str
    messages: int
    samples: int
    bytes: int
    nodes: tuple[RanNode, ...]


class _Engine(msgspec.Struct, frozen=True):
    precision: str | None = None


class _Environment(msgspec.Struct, frozen=True):
    engines: tuple[_Engine, ...] = ()
    network: RanNetwork | None = None


def read_ran(folder: Path) -> Ran:
    """Return what the test in a run folder was made of.

    Raises:
        DataError: its config.yaml is missing or damaged.
    """
    path = folder / CONFIG_FILE
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Ran)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}; expected the file as `sut run` wrote it.") from error


def read_precisions(folder: Path) -> list[str | None]:
    """Return the precision of each engine of the test in a run folder; None where it says none.

    Raises:
        DataError: its environment.json is missing or damaged.
    """
    return [engine.precision for engine in _environment(folder).engines]


def read_network(folder: Path) -> RanNetwork | None:
    """Return how the samples travelled in the test in a run folder; None: the SUT was here.

    Raises:
        DataError: its environment.json is missing or damaged.
    """
    return _environment(folder).network


def _environment(folder: Path) -> _Environment:
    path = folder / ENVIRONMENT_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Environment)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}; expected the file as `sut run` wrote it.") from error
