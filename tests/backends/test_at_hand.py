"""Which backend can use a GPU of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends import at_hand
from backends.at_hand import PROBES, first_of, gpu_backend
from backends.base import BACKENDS
from sut.base.errors import ConfigError


def too_old(sm: int) -> str:
    raise ConfigError("TensorRT 9 is installed; expected 10.")


def can(sm: int) -> str:
    return ""


def test_the_first_that_can_use_the_gpu_is_taken_with_what_the_others_lack() -> None:
    found = first_of(75, {"tensorrt": too_old, "torch": can, "onnxruntime": can})

    assert found == ("torch", "tensorrt: TensorRT 9 is installed; expected 10")


def test_the_gpu_s_architecture_decides_too() -> None:
    def knows_newer(sm: int) -> str:
        return "" if sm >= 80 else f"no SM {sm}"

    assert first_of(90, {"tensorrt": knows_newer}) == ("tensorrt", "")
    assert first_of(75, {"tensorrt": knows_newer}) == (None, "tensorrt: no SM 75")


def test_only_backends_are_offered() -> None:
    assert set(PROBES) <= set(BACKENDS)


@pytest.mark.slow
@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="there is a GPU")
def test_without_a_gpu_each_says_why_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing asks in this process, which would keep a context on the GPU.
    monkeypatch.setattr(at_hand, "PROBES", {"here": can})

    found, why = gpu_backend(75)

    assert found is None
    assert [part.split(":")[0] for part in why.split("; ")] == list(PROBES)
    assert "\n" not in why
