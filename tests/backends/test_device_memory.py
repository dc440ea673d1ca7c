"""The memory of a GPU before an engine is open on it, with the host in its place."""

from __future__ import annotations

import pytest

from backends import device_memory
from backends.base import WeighedEngine
from backends.cuda import gpu
from backends.cuda.host_driver import HostDriver
from tests.backends.host_engine import open_on_host, spec_of


def test_only_real_engines_on_a_gpu_take_its_memory() -> None:
    assert device_memory.has_own_memory("torch", "0")
    assert not device_memory.has_own_memory("torch", "cpu")
    assert not device_memory.has_own_memory("simulated", "0")
    assert not device_memory.has_own_memory("triton", "0")


def test_what_is_taken_is_not_free_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = HostDriver()
    monkeypatch.setattr(gpu, "open_driver", lambda device: driver)
    before = device_memory.free_bytes("0")
    device_memory.take("0", 1_000)
    assert device_memory.free_bytes("0") == before - 1_000


def test_an_engine_on_a_device_says_what_is_free() -> None:
    driver = HostDriver(memory_bytes=1 << 20)
    engine = open_on_host(spec_of(), driver)
    assert isinstance(engine, WeighedEngine)
    assert engine.memory_bytes() == {"device_free": driver.free_bytes()}
    assert driver.free_bytes() < 1 << 20
    engine.close()
