"""The table of backends, and the interface that every backend module has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.base import BACKENDS, EngineSpec, TensorSpec, open_engine
from sut.base.errors import ConfigError

SPEC = EngineSpec("null", None, (TensorSpec("x", (1,), "float32"),), None, 1)


def test_an_unknown_backend_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'"onnxruntme".*"onnxruntime"'):
        open_engine(replace(SPEC, backend="onnxruntme"))


def test_the_null_backend_needs_no_model() -> None:
    assert "null" in BACKENDS
    assert open_engine(SPEC).facts["backend"] == "null"
