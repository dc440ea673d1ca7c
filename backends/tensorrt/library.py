"""Which TensorRT is installed: `tensorrt` 10 or 11, or `tensorrt_rtx`.

Their APIs differ only in names. `tensorrt` builds for the GPU in the machine. `tensorrt_rtx` builds
for any GPU that it knows, on any machine, and compiles the kernels when it loads the plan.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The first that imports is used. The one for data centres comes first.
TITLES: Mapping[str, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
# The first with strongly typed networks, progress monitors and shared optimization profiles.
OLDEST_MAJOR = 10

INSTALL = (
    "Install it with pip install tensorrt, or pip install tensorrt-rtx-cu13, which also builds for "
    "GPUs that are not in this machine."
)


@dataclass(frozen=True, slots=True)
class Library:
    """An imported TensorRT.

    Attributes:
        name: of its package: a key of TITLES.
        version: such as "10.13.3.9".
        module: the package itself, without types.
        others: other such packages that are installed.
    """

    name: str
    version: str
    module: Any
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{TITLES[self.name]} {self.version}"

    @property
    def is_rtx(self) -> bool:
        """Whether it builds for GPUs by name, and compiles kernels when it loads a plan."""
        return self.name == "tensorrt_rtx"

    @property
    def choice(self) -> str:
        """The choice, described for the user."""
        unused = f"; {', '.join(self.others)} is installed too" if self.others else ""
        return f"{self} (package {self.name}{unused})"

    def targets(self) -> tuple[int, ...]:
        """Return the SMs that it can build for by name: none for `tensorrt`."""
        if not self.is_rtx:
            return ()
        names = (re.fullmatch(r"SM(\d+)", name) for name in dir(self.module.ComputeCapability))
        return tuple(sorted(int(found[1]) for found in names if found))


def load_library(name: str | None = None) -> Library:
    """Import `name`, or the first of TITLES that is installed.

    Raises:
        ConfigError: there is no such package, none is installed, or it is too old.
    """
    if name is not None and name not in TITLES:
        raise ConfigError(
            f'TensorRT library "{name}" does not exist; expected one of {", ".join(TITLES)}.'
            f"{nearest(name, TITLES)}"
        )
    found, reasons = _import([name] if name else list(TITLES))
    if not found:
        raise ConfigError(f'backend "tensorrt": {", ".join(reasons)}. {INSTALL}')
    module, *others = found
    library = Library(
        module.__name__, module.__version__, module, tuple(other.__name__ for other in others)
    )
    major = int(library.version.partition(".")[0])
    if not library.is_rtx and major < OLDEST_MAJOR:
        raise ConfigError(
            f"{library} is installed; expected {OLDEST_MAJOR} or newer, because precision comes "
            "from the types in the model's graph. Install a newer one with pip install -U tensorrt."
        )
    return library


def _import(names: Sequence[str]) -> tuple[list[Any], list[str]]:
    """Return the modules that import, and why the others do not."""
    found, reasons = [], []
    for name in names:
        try:
            found.append(import_module(name))
        except (ImportError, OSError) as error:  # OSError: a library that it loads is damaged
            known = isinstance(error, ModuleNotFoundError) and error.name == name
            why = "is not installed" if known else f"does not import: {error}"
            reasons.append(f"package {name} {why}")
    return found, reasons
