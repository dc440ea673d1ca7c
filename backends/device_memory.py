"""The memory of a GPU before an engine is open on it; nothing of the CPU or simulated ones."""

from __future__ import annotations

from backends.base import REMOTE, WITHOUT_MODEL


def has_own_memory(backend: str, device: str) -> bool:
    """Return whether an engine there takes memory of a GPU in this machine."""
    return device.isdecimal() and backend not in WITHOUT_MODEL | REMOTE


def free_bytes(device: str) -> int:
    """Return the memory of a GPU that is free, in bytes. This process has a context on it then.

    Raises:
        SutError: there is no such GPU, or no driver.
    """
    from backends.cuda.gpu import open_driver  # noqa: PLC0415 - it loads the CUDA libraries

    driver = open_driver(device)
    driver.use()
    return driver.free_bytes()


def take(device: str, size: int) -> None:
    """Allocate `size` bytes on a GPU until this process ends, so that others must do with less.

    Raises:
        OutOfMemoryError: there is not so much.
        SutError: as `free_bytes`.
    """
    from backends.cuda.gpu import open_driver  # noqa: PLC0415 - it loads the CUDA libraries

    driver = open_driver(device)
    driver.use()
    driver.allocate(size)
