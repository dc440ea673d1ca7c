"""Whether a GPU is there and how much of its memory is free, on answers written by hand."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.telemetry.gpu_memory import free_bytes, is_gone
from sut.telemetry.nvml import Nvml, NvmlError
from tests.sut.telemetry.fake_nvml import MIB, FakeNvml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def opened(**changes: object) -> Callable[[], AbstractContextManager[Nvml]]:
    @contextmanager
    def open_() -> Iterator[Nvml]:
        yield Nvml(FakeNvml(**changes))

    return open_


def absent() -> AbstractContextManager[Nvml]:
    raise NvmlError("the package nvidia-ml-py is not installed")


def test_free_memory_is_what_no_process_uses() -> None:
    assert free_bytes("0", opened()) == (15360 - 900) * MIB
    assert free_bytes("7", opened()) is None
    assert free_bytes("0", absent) is None


def test_a_gpu_that_does_not_answer_is_gone() -> None:
    assert is_gone("0", opened()) is None
    assert "no answer" in str(is_gone("0", opened(nvmlDeviceGetMemoryInfo=None)))
    assert "NVML knows no GPU 2" in str(is_gone("2", opened()))


def test_what_nobody_can_tell_is_not_gone() -> None:
    assert is_gone("0", absent) is None
    assert is_gone("cpu", absent) is None
