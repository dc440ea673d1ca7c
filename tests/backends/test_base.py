"""The table of backends, and the interface that every backend module has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.base import BACKENDS, EngineSpec, TensorSpec, check_options, open_engine
from sut.base.errors import ConfigError

SPEC = EngineSpec("null", None, (TensorSpec("x", (1,), "float32"),), None, 1)


def test_an_unknown_backend_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'"onnxruntme".*"onnxruntime"'):
        open_engine(replace(SPEC, backend="onnxruntme"))


def test_the_null_backend_needs_no_model() -> None:
    assert "null" in BACKENDS
    assert open_engine(SPEC).facts["backend"] == "null"


@pytest.mark.parametrize("device", ["cpu", "0"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_wrong_option_is_refused_before_an_engine_is_opened(backend: str, device: str) -> None:
    check_options(backend, {}, device)

    with pytest.raises(ConfigError, match='option "nonesuch" does not exist'):
        check_options(backend, {"nonesuch": 1}, device)


def test_options_of_another_device_are_checked_too() -> None:
    with pytest.raises(ConfigError, match='device 1: option "bse_ms" does not exist'):
        check_options("simulated", {"bse_ms@1": 1.0}, "0")
