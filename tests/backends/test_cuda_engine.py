"""The CUDA worker on the host: the contract, slots, graphs, gathers, and devices that fail."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from backends.base import AsyncEngine, TensorSpec
from backends.cuda.engine import open_cuda_engine
from backends.cuda.errors import CudaError, OutOfMemoryError
from backends.cuda.host_driver import HostDriver
from backends.cuda.options import CudaOptions
from sut.base.errors import ConfigError, EngineError
from sut.base.steps import heard_by
from tests.backends.conformance import (
    BOUND,
    BackendTestCase,
    SeveralInputsTestCase,
    SlotsTestCase,
    SpawnTestCase,
    make_samples,
    rows_of,
)
from tests.backends.host_engine import WHERE, LinearKernel, at, open_on_host, spec_of
from tests.backends.models import THREE, linear_answers, three_answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backends.base import Array, Arrays, Engine, EngineSpec
    from backends.cuda.engine import CudaEngine

SPEC = spec_of()
SAMPLES = make_samples(SPEC, seed=1)


@pytest.fixture
def engine() -> Iterator[CudaEngine]:
    engine = open_on_host(SPEC)
    engine.bind(SAMPLES)
    yield engine
    engine.close()


class OnHost(BackendTestCase):
    @staticmethod
    def open(spec: EngineSpec) -> Engine:
        return open_on_host(spec)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return linear_answers(samples["x"])


class TestGraphsAndGatherOnTheDevice(OnHost, SlotsTestCase, SpawnTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return spec_of()


class TestNoGraphsAndGatherOnTheHost(OnHost):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return spec_of(slots=1, cuda_graphs=False, gather="staging", wait="block")


class TestCopies(OnHost, SlotsTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return spec_of(slots=2, gather="copies")


class TestSamplesOnTheDevice(OnHost, SlotsTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return spec_of(samples_on_device=True, graph_sizes="1,2", wait="spin")


class ThreeOnHost(SeveralInputsTestCase):
    @staticmethod
    def open(spec: EngineSpec) -> Engine:
        return open_on_host(spec)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return three_answers(**samples)


class TestThreeInputsOfWhichTheDeviceGathersTwo(ThreeOnHost, SlotsTestCase):
    """A sample of the mask has 6 bytes: no multiple of what the device copies at once."""

    @pytest.fixture
    def spec(self) -> EngineSpec:
        return spec_of(inputs=THREE)


class TestThreeInputsGatheredOnTheHost(ThreeOnHost):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return spec_of(inputs=THREE, slots=1, gather="staging", cuda_graphs=False)


class TestThreeInputsByCopies(ThreeOnHost, SlotsTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return spec_of(inputs=THREE, gather="copies", wait="block")


class TestThreeInputsOnTheDevice(ThreeOnHost, SlotsTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        wide = replace(THREE[1], shape=(16,))
        return spec_of(inputs=(THREE[0], wide, THREE[2]), samples_on_device=True)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return three_answers(**{**samples, "mask": samples["mask"][:, :6]})


def assert_answers(engine: CudaEngine, slot: int, rows: Sequence[int]) -> None:
    outputs, _ = engine.wait(slot)
    for output, want in zip(outputs, linear_answers(SAMPLES["x"]), strict=True):
        np.testing.assert_array_equal(output, want[list(rows)], strict=True)


# Slots


def test_it_is_an_asynchronous_engine_with_the_slots_asked_for(engine: CudaEngine) -> None:
    assert isinstance(engine, AsyncEngine)
    assert engine.slots == SPEC.slots


def test_every_slot_holds_a_batch_of_its_own(engine: CudaEngine) -> None:
    batches = [[0, 1, 2], [5, 3, 5, 4], [7]]

    for slot, rows in enumerate(batches):
        engine.launch(slot, rows)

    for slot, rows in enumerate(batches):
        assert_answers(engine, slot, rows)


def test_outputs_stay_until_the_slot_is_launched_again(engine: CudaEngine) -> None:
    engine.launch(0, [1])
    first, _ = engine.wait(0)
    kept = first[0].copy()

    engine.launch(1, [2])
    assert_answers(engine, 1, [2])

    np.testing.assert_array_equal(first[0], kept)


@pytest.mark.parametrize("slot", [0, -1, 3])
def test_a_slot_that_is_not_free_is_refused(engine: CudaEngine, slot: int) -> None:
    engine.launch(0, [1])

    with pytest.raises(EngineError, match=rf"slot {slot} .*slots are 0 to 2"):
        engine.launch(slot, [2])
    assert_answers(engine, 0, [1])


@pytest.mark.parametrize("slot", [1, -1, 3])
def test_waiting_for_nothing_is_refused(engine: CudaEngine, slot: int) -> None:
    engine.launch(0, [1])

    with pytest.raises(EngineError, match=f"slot {slot}"):
        engine.wait(slot)


def test_a_batch_is_done_when_it_is_collected_and_not_before(engine: CudaEngine) -> None:
    launched_ns = time.monotonic_ns()
    engine.launch(0, [0, 1, 2, 3])
    _, (started_ns, finished_ns) = engine.wait(0)

    assert launched_ns <= started_ns <= finished_ns <= time.monotonic_ns()


def test_the_parts_of_a_batch_are_times(engine: CudaEngine) -> None:
    with pytest.raises(EngineError, match="slot 2"):
        engine.parts(2)
    begun_ns = time.monotonic_ns()
    engine.launch(2, [4, 2])
    engine.wait(2)

    parts = engine.parts(2)

    assert min(parts) >= 0
    assert 0 < sum(parts) <= time.monotonic_ns() - begun_ns


# Large rows and outputs


class EchoKernel(LinearKernel):
    """Answers its input: rows and outputs that go by the copy engine."""

    inputs = (TensorSpec("x", (1 << 16,), "float32"),)
    outputs = (TensorSpec("y", (1 << 16,), "float32"),)

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        shape = (batch_size, 1 << 16)
        at(targets[0], shape, "float32")[:] = at(sources[0], shape, "float32")


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("gather", ["kernel", "copies", "staging"])
def test_large_rows_and_outputs_keep_their_batch(
    slots: int, gather: Literal["kernel", "copies", "staging"]
) -> None:
    spec, options = replace(SPEC, slots=slots), CudaOptions(gather=gather)
    samples = np.random.default_rng(2).standard_normal((8, 1 << 16)).astype(np.float32)
    engine = open_cuda_engine(HostDriver(), EchoKernel((2, 6)), spec, options, WHERE)
    engine.bind({"x": samples})
    batches = [range(1, 7), [3], [7, 1, 0, 5, 5], range(2)]

    for k, rows in enumerate(batches * 2):
        engine.launch(k % slots, rows)
        (found,), _ = engine.wait(k % slots)

        np.testing.assert_array_equal(found, samples[list(rows)])
        assert min(engine.parts(k % slots)) >= 0
    assert engine.facts["gather"] == gather
    engine.close()


class EchoWide(LinearKernel):
    """Answers inputs of very different sizes: 3,072, 6, 4 and 262,144 bytes a sample."""

    inputs = outputs = (
        TensorSpec("ids", (384,), "int64"),
        TensorSpec("mask", (6,), "bool"),
        TensorSpec("length", (), "int32"),
        TensorSpec("image", (1 << 16,), "float32"),
    )

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        for source, target, tensor in zip(sources, targets, self.inputs, strict=True):
            shape = (batch_size, *tensor.sizes)
            at(target, shape, tensor.dtype)[:] = at(source, shape, tensor.dtype)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("gather", ["kernel", "copies", "staging"])
def test_rows_of_every_input_keep_their_batch_beside_arrays(
    slots: int, gather: Literal["kernel", "copies", "staging"]
) -> None:
    spec = replace(SPEC, slots=slots, inputs=EchoWide.inputs)
    engine = open_cuda_engine(
        HostDriver(), EchoWide((2, 6)), spec, CudaOptions(gather=gather), WHERE
    )
    samples = make_samples(spec, seed=2)
    engine.bind(samples)
    batches = [range(1, 7), [3], [7, 1, 0, 5, 5], range(2), [11, 0]]

    for k, rows in enumerate(batches * 3):
        if k % 3:
            engine.launch(k % slots, rows)
        else:
            engine.launch_arrays(k % slots, rows_of(samples, list(rows)))
        found, _ = engine.wait(k % slots)

        for answer, array in zip(found, samples.values(), strict=True):
            np.testing.assert_array_equal(answer, array[list(rows)])
        assert min(engine.parts(k % slots)) >= 0
    assert engine.facts["gather"] == ("kernel and staging" if gather == "kernel" else gather)
    engine.close()


def test_large_samples_are_copied_and_small_ones_gathered_unless_asked_otherwise() -> None:
    for kernel, inputs, gather in (
        (EchoWide((2, 6)), EchoWide.inputs, "copies"),
        (LinearKernel((2, 6)), SPEC.inputs, "kernel"),
    ):
        engine = open_cuda_engine(
            HostDriver(), kernel, replace(SPEC, inputs=inputs), CudaOptions(), WHERE
        )
        assert engine.facts["gather"] == gather
        engine.close()


@pytest.mark.parametrize(("cores", "wait"), [(None, "auto"), (3, "auto"), (4, "spin")])
def test_an_engine_with_cores_to_spare_burns_one(cores: int | None, wait: str) -> None:
    engine = open_on_host(replace(SPEC, cores=cores))

    assert engine.facts["wait"] == wait
    engine.close()
    held = open_on_host(replace(spec_of(wait="block"), cores=cores))
    assert held.facts["wait"] == "block"
    held.close()


def test_the_first_arrays_pin_their_memory_and_the_next_use_it_again() -> None:
    driver = HostDriver()
    engine = open_on_host(SPEC, driver)
    before = driver.pinned_bytes()

    engine.infer_arrays(rows_of(SAMPLES, slice(6)))
    with_arrays = driver.pinned_bytes()
    engine.infer_arrays(rows_of(SAMPLES, slice(3)))

    assert with_arrays - before == 6 * 24 * 4
    assert driver.pinned_bytes() == with_arrays
    engine.close()
    assert driver.pinned_bytes() == 0


# Sizes


def test_a_batch_runs_at_the_smallest_size_that_holds_it() -> None:
    kernel = LinearKernel((1, 4, 6))
    engine = open_cuda_engine(HostDriver(), kernel, SPEC, CudaOptions(), WHERE)
    engine.bind(SAMPLES)
    kernel.ran.clear()

    for count in (1, 2, 4, 5, 6):
        engine.infer(range(count))

    assert kernel.ran == [1, 4, 4, 6, 6]
    engine.close()


def test_who_listens_hears_which_size_is_prepared() -> None:
    heard: list[str] = []

    with heard_by(heard.append):
        open_on_host(spec_of(graph_sizes="2,4")).close()

    assert heard == [f"preparing batch size {k} of 3" for k in (1, 2, 3)]


def test_without_sizes_a_batch_runs_as_it_is() -> None:
    kernel = LinearKernel((), capturable=False)
    engine = open_cuda_engine(HostDriver(), kernel, SPEC, CudaOptions(), WHERE)
    engine.bind(SAMPLES)
    kernel.ran.clear()

    for count in (1, 2, 5):
        engine.infer(range(count))

    assert kernel.ran == [1, 2, 5]
    assert engine.sizes == ()
    engine.close()


def test_the_facts_say_what_the_rules_ask_about() -> None:
    engine = open_on_host(spec_of(samples_on_device=True))

    assert engine.facts["samples_on_device"] is True
    assert engine.facts["gather"] == "kernel"
    assert engine.facts["cuda_graphs"] is True
    assert engine.sizes == (1, 3, 6)
    engine.close()


# Memory


def test_ten_runs_take_the_memory_of_one() -> None:
    driver = HostDriver()
    before = driver.free_bytes()
    engine = open_on_host(SPEC, driver)
    engine.bind(SAMPLES)
    engine.infer([0, 2])
    while_open = driver.free_bytes()

    for seed in range(10):
        engine.bind(make_samples(SPEC, seed))
        engine.infer([0, 2])

    assert driver.free_bytes() == while_open
    engine.close()
    assert driver.free_bytes() == before
    assert driver.pinned_bytes() == 0


def test_two_engines_share_the_pinned_samples() -> None:
    driver = HostDriver()
    engines = [open_on_host(SPEC, driver) for _ in range(2)]
    engines[0].bind(SAMPLES)
    with_one = driver.pinned_bytes()

    engines[1].bind(SAMPLES)

    assert driver.pinned_bytes() == with_one
    engines[0].close()
    np.testing.assert_array_equal(engines[1].infer([3])[0], linear_answers(SAMPLES["x"])[0][3:4])
    engines[1].close()
    assert driver.pinned_bytes() == 0


def test_a_full_device_is_told_apart_and_nothing_stays_on_it() -> None:
    driver = HostDriver(memory_bytes=2_000)

    with pytest.raises(OutOfMemoryError, match=r"max_batch_size"):
        open_on_host(SPEC, driver)

    assert driver.free_bytes() == 2_000
    assert driver.pinned_bytes() == 0


def test_samples_on_the_device_need_the_gather_on_the_device() -> None:
    with pytest.raises(ConfigError, match=r"gather=kernel"):
        open_on_host(spec_of(samples_on_device=True, gather="staging"))


# Failures


def test_a_device_that_fails_ends_its_batches_and_can_be_closed() -> None:
    driver = HostDriver()
    engine = open_on_host(spec_of(fail_at_s=0.0), driver)
    engine.bind(SAMPLES)
    engine.launch(0, [0, 3])

    with pytest.raises(CudaError, match=r"device cpu: .*cudaErrorIllegalInst"):
        engine.wait(0)
    with pytest.raises(CudaError):
        engine.infer([1])

    engine.close()
    assert driver.free_bytes() == HostDriver().free_bytes()


def test_a_failure_is_no_full_memory() -> None:
    engine = open_on_host(spec_of(fail_at_s=0.0))
    engine.bind(SAMPLES)

    with pytest.raises(CudaError) as caught:
        engine.infer([1])

    assert not isinstance(caught.value, OutOfMemoryError)
    assert caught.value.name == "cudaErrorIllegalInstruction"
    engine.close()


def test_a_kernel_that_cannot_be_prepared_is_closed_and_nothing_stays() -> None:
    class Refuses(LinearKernel):
        def prepare(self, batch_size: int, sources: object, targets: object, stream: int) -> None:
            raise EngineError("no algorithm")

    driver, kernel = HostDriver(), Refuses((6,))

    with pytest.raises(EngineError, match="no algorithm"):
        open_cuda_engine(driver, kernel, SPEC, CudaOptions(), WHERE)

    assert kernel.closed == 1
    assert driver.free_bytes() == HostDriver().free_bytes()
    assert driver.pinned_bytes() == 0


def test_the_kernel_is_closed_once_with_the_engine() -> None:
    kernel = LinearKernel((6,))
    engine = open_cuda_engine(HostDriver(), kernel, SPEC, CudaOptions(), WHERE)

    engine.close()
    engine.close()

    assert kernel.closed == 1


def test_batches_of_many_sizes_in_turn_are_answered_right(engine: CudaEngine) -> None:
    choose = np.random.default_rng(7)
    batches = [list(choose.integers(0, BOUND, 1 + k % 6)) for k in range(30)]

    for k, rows in enumerate(batches):
        slot = k % SPEC.slots
        if k >= SPEC.slots:
            assert_answers(engine, slot, batches[k - SPEC.slots])
        engine.launch(slot, rows)

    for k in range(len(batches) - SPEC.slots, len(batches)):
        assert_answers(engine, k % SPEC.slots, batches[k])
