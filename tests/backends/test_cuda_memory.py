"""What the CUDA worker holds: samples once in memory, and nothing at all after a failure."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backends.base import EngineSpec, MemoryEngine, TensorSpec
from backends.cuda.errors import CudaError, failure
from backends.cuda.host_driver import HostDriver
from backends.cuda.options import CudaOptions
from backends.onnxruntime.cuda_session import Place, Target, open_on
from backends.onnxruntime.session import CPU, Options, import_runtime
from data.tasks.other import Raw
from sut.base.errors import EngineError
from sut.serve.samples import SampleReader, SampleSource
from sut.serve.workers.executor import Executor, ExecutorSpec
from tests.backends.conformance import make_samples
from tests.backends.host_engine import open_on_host, spec_of
from tests.backends.models import SHAPE, linear, linear_answers, save

SPEC = spec_of()
SAMPLES = make_samples(SPEC, 0)


def is_empty(driver: HostDriver) -> bool:
    """Return whether nothing is open or allocated."""
    return not (driver.allocated_bytes() or driver.pinned_bytes() or driver.handles())


# Failures


class FailingDriver(HostDriver):
    """A device whose call number `fail_at`, counted from 1, fails; 0: none does."""

    def __init__(self, fail_at: int) -> None:
        super().__init__()
        self.fail_at = fail_at
        self.calls = 0

    def check(self, call: str) -> None:
        super().check(call)
        self.calls += 1
        if self.calls == self.fail_at:
            raise failure(self.where, call, "cudaErrorUnknown", "unknown error")


def failing_drivers() -> Iterator[FailingDriver]:
    """Yield devices that fail ever later, until one has not failed."""
    fail_at = 0
    while True:
        fail_at += 1
        driver = FailingDriver(fail_at)
        yield driver
        if driver.calls < fail_at:
            return


@pytest.mark.parametrize(
    "spec", [SPEC, spec_of(slots=1), spec_of(gather="staging"), spec_of(cuda_graphs=False)]
)
def test_an_engine_that_fails_to_open_at_any_call_leaves_nothing(spec: EngineSpec) -> None:
    failed = 0
    for driver in failing_drivers():
        try:
            open_on_host(spec, driver).close()
        except CudaError:
            failed += 1
        assert is_empty(driver), f"after the failure of call {driver.fail_at}"

    assert failed > 10


@pytest.mark.parametrize("on_device", [False, True])
def test_samples_that_fail_to_be_bound_at_any_call_leave_nothing(on_device: bool) -> None:
    spec = spec_of(samples_on_device=on_device)
    failed, more = 0, True
    while more:
        driver = FailingDriver(0)
        engine = open_on_host(spec, driver)
        calls, held = driver.calls, (driver.allocated_bytes(), driver.handles())
        driver.fail_at = calls + failed + 1
        try:
            engine.bind(SAMPLES)
        except CudaError:
            failed += 1
            assert (driver.allocated_bytes(), driver.handles()) == held
        more = driver.calls >= driver.fail_at
        driver.fail_at = 0
        engine.close()
        assert is_empty(driver)

    assert failed >= (5 if on_device else 1)


def broken(folder: Path) -> str:
    path = folder / "model.onnx"
    path.write_bytes(b"no model at all")
    return str(path)


def with_another_input(folder: Path) -> str:
    return save(linear(shape=(2, 3, 5)), folder)


@pytest.mark.parametrize("make", [broken, with_another_input])
def test_a_session_that_does_not_open_leaves_no_stream(
    make: Callable[[Path], str], tmp_path: Path
) -> None:
    driver, path = HostDriver(), make(tmp_path)
    target = Target(import_runtime(), path, Options(), [(CPU, {})], Place("cpu", 0))
    spec = EngineSpec("onnxruntime", path, (TensorSpec("x", SHAPE, "float32"),), None, 4)

    with pytest.raises(EngineError):
        open_on(driver, target, spec, CudaOptions())

    assert is_empty(driver)


# Samples


@pytest.fixture
def large(tmp_path: Path) -> SampleSource:
    """A file of samples, 16 MiB."""
    shape, count = SPEC.inputs[0].sizes, 1 << 17
    path = tmp_path / "samples.npy"
    np.save(path, np.arange(count * int(np.prod(shape)), dtype=np.float32).reshape(count, *shape))
    return SampleSource((str(path),), count, SPEC.inputs, tuple(range(count - 1, -1, -1)))


def test_samples_lie_in_memory_once(large: SampleSource) -> None:
    driver = HostDriver()
    engine = open_on_host(SPEC, driver)
    assert isinstance(engine, MemoryEngine)
    before, reader = driver.pinned_bytes(), SampleReader()
    size = large.count * 24 * 4

    tracemalloc.start()
    loaded = reader.read(large, engine.memory)
    engine.bind(loaded.arrays)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert driver.pinned_bytes() - before == size
    # The indices are lists of numbers; the samples are not among what Python and NumPy hold.
    assert most < size / 2 + 32 * large.count * 2
    expected = linear_answers(np.load(large.paths[0])[[large.count - 1, 5]])
    np.testing.assert_array_equal(
        engine.infer([loaded.row_of[large.count - 1], loaded.row_of[5]])[0], expected[0]
    )
    engine.close()
    reader.close()
    assert is_empty(driver)


def test_engines_of_a_process_share_what_was_read(large: SampleSource) -> None:
    drivers = [HostDriver(), HostDriver()]
    engines = [open_on_host(SPEC, driver) for driver in drivers]
    before, reader = sum(driver.pinned_bytes() for driver in drivers), SampleReader()

    for engine in engines:
        engine.bind(reader.read(large, engine.memory).arrays)

    assert sum(d.pinned_bytes() for d in drivers) - before == large.count * 24 * 4
    reader.close()
    engines[0].close()
    assert len(engines[1].infer([0, 1, 2])[0]) == 3
    engines[1].close()
    assert all(is_empty(driver) for driver in drivers)


def test_engines_near_other_memory_have_samples_of_their_own(large: SampleSource) -> None:
    class OtherNode(HostDriver):
        node = 1

    drivers = [HostDriver(), OtherNode()]
    engines = [open_on_host(SPEC, driver) for driver in drivers]
    before, reader = [driver.pinned_bytes() for driver in drivers], SampleReader()

    for engine in engines:
        engine.bind(reader.read(large, engine.memory).arrays)

    more = [d.pinned_bytes() - held for d, held in zip(drivers, before, strict=True)]
    assert more == [large.count * 24 * 4] * 2
    reader.close()
    for engine in engines:
        engine.close()


def test_the_next_samples_replace_those_before(large: SampleSource) -> None:
    driver = HostDriver()
    engine = open_on_host(SPEC, driver)
    before, reader = driver.pinned_bytes(), SampleReader()

    for indices in ((1, 2, 3), (7, 8)):
        engine.bind(reader.read(replace(large, indices=indices), engine.memory).arrays)

    assert driver.pinned_bytes() - before == 2 * 24 * 4
    engine.close()
    reader.close()
    assert is_empty(driver)


def test_an_array_from_elsewhere_is_copied_once_for_engines_with_drivers_of_their_own() -> None:
    drivers = [HostDriver(), HostDriver()]
    engines = [open_on_host(SPEC, driver) for driver in drivers]

    for engine in engines:
        engine.bind(SAMPLES)
    for engine in engines:
        engine.close()

    assert all(is_empty(driver) for driver in drivers)


def test_a_worker_reads_into_its_engine_s_memory(large: SampleSource) -> None:
    """The torch backend on the host, or any engine with memory, behind a worker."""
    driver = HostDriver()
    executor = Executor(ExecutorSpec(SPEC, Raw()), lambda spec: open_on_host(spec, driver))
    before, reader = driver.pinned_bytes(), SampleReader()
    executor.load(reader.read(large, executor.memory))

    assert driver.pinned_bytes() - before == large.count * 24 * 4
    executor.close()
    reader.close()
    assert is_empty(driver)
