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


class _Engine(msgspec.Struct, frozen=True):
    precision: str | None = None


class _Environment(msgspec.Struct, frozen=True):
    engines: tuple[_Engine, ...] = ()


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
    path = folder / ENVIRONMENT_FILE
    try:
        engines = msgspec.json.decode(path.read_bytes(), type=_Environment).engines
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}; expected the file as `sut run` wrote it.") from error
    return [engine.precision for engine in engines]
