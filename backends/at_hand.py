"""Which backend can use a GPU of this machine. Opens no engine.

`python -m backends.at_hand` asks the libraries; see sut.base.subprocess_call. Whoever opens a GPU
keeps a context on it, half a gigabyte, until its process ends.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from sut.base.errors import SutError
from sut.base.subprocess_call import answer_request, run_module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Returns why the backend cannot use a GPU of this SM, such as 75; empty if it can.
    Probe = Callable[[int], str]


@cache
def gpu_backend(sm: int) -> tuple[str | None, str]:
    """Return the first backend that can use a GPU, and why those before it cannot.

    Args:
        sm: the GPU's, such as 75.

    Raises:
        SutError: the process that asks failed.
    """
    answer = run_module("backends.at_hand", msgspec.json.encode(sm), "looking for a backend")
    return msgspec.json.decode(answer, type=tuple[str | None, str])


def first_of(sm: int, probes: Mapping[str, Probe]) -> tuple[str | None, str]:
    """Return the first backend whose probe finds nothing against it, and what the others found.

    Args:
        sm: the GPU's.
        probes: by backend, the preferred one first.
    """
    reasons: list[str] = []
    for name, probe in probes.items():
        try:
            why = probe(sm)
        except SutError as error:
            why = str(error)
        if not why:
            return name, "; ".join(reasons)
        reasons.append(f"{name}: {why.rstrip('.')}")
    return None, "; ".join(reasons)


def _tensorrt(sm: int) -> str:
    from backends.tensorrt.library import load_library  # noqa: PLC0415 - it loads libraries

    library = load_library()
    targets = library.targets()
    if targets and sm not in targets:
        return f"{library} does not know SM {sm}"
    return _cuda()


def _torch(sm: int) -> str:
    found = _imported("torch")
    if isinstance(found, str):
        return found
    return _cuda() if found.cuda.is_available() else f"torch {found.__version__} sees no GPU"


def _onnxruntime(sm: int) -> str:
    found = _imported("onnxruntime")
    if isinstance(found, str):
        return found
    has = "CUDAExecutionProvider" in found.get_available_providers()
    return _cuda() if has else "it has no CUDA provider"


# NVIDIA's own goes first: most submissions on its GPUs use it.
PROBES: Mapping[str, Probe] = {
    "tensorrt": _tensorrt,
    "torch": _torch,
    "onnxruntime": _onnxruntime,
}


def _imported(name: str) -> Any:
    """Return a package, which has no types here, or why it does not import."""
    try:
        return import_module(name)
    except (ImportError, OSError) as error:  # OSError: a library that it loads is damaged
        absent = isinstance(error, ModuleNotFoundError) and error.name == name
        return "not installed" if absent else f"does not import: {str(error).splitlines()[0]}"


def _cuda() -> str:
    """Say why no engine could open a GPU; empty if one can."""
    from backends.cuda.gpu import open_driver  # noqa: PLC0415 - it loads the CUDA libraries

    open_driver("0")
    return ""


if __name__ == "__main__":
    sys.exit(answer_request(int, lambda sm: first_of(sm, PROBES)))
