"""The CUDA worker on a GPU: driver, gather, contract, times, memory, and a device that is lost.

What the worker does by itself is tested on the host, in test_cuda_engine.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from backends.base import EngineSpec, TensorSpec, open_engine
from backends.cuda.driver import DELIVER_BYTES, Errand, Parcel
from backends.cuda.engine import CudaEngine, open_cuda_engine
from backends.cuda.errors import OutOfMemoryError
from backends.cuda.gpu import open_driver
from backends.cuda.options import CudaOptions
from backends.cuda.order import GatherOrder, order_bytes
from backends.cuda.pinned import pinned_bytes
from backends.cuda.ptx import UNIT_BYTES
from sut.base.environment import ROOT
from sut.base.errors import EngineError, SutError
from tests.backends.conformance import BackendTestCase, SlotsTestCase, SpawnTestCase, make_samples
from tests.backends.models import SHAPE, linear, linear_answers, save

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backends.base import Array, Arrays, OptionValue
    from backends.cuda.gpu import CudaDriver

INPUT = TensorSpec("x", SHAPE, "float32")
GIB = 1 << 30


def gpu_problem() -> str:
    """Return why there is no GPU here, or an empty text."""
    try:
        open_driver("0")
    except SutError as error:
        return str(error)
    return ""


PROBLEM = gpu_problem()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
    # The compiler of torch still uses what torch calls deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning"),
]


def torch_spec(path: str, *, slots: int = 2, cap: int = 6, **options: OptionValue) -> EngineSpec:
    pytest.importorskip("torch", reason="torch is not installed")
    options = {"compile": "none", **options}
    return EngineSpec("torch", path, (INPUT,), None, cap, "0", options, slots)


@pytest.fixture
def driver() -> CudaDriver:
    driver = open_driver("0")
    driver.use()
    return driver


# The driver


def test_bytes_go_to_the_device_and_back(driver: CudaDriver) -> None:
    size = 1 << 20
    host, back, device = driver.pin(size), driver.pin(size), driver.allocate(size)
    stream, done = driver.stream(), driver.event(blocking=True)
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    pinned_bytes(host, size)[:] = data

    driver.copy(device, host, size, stream)
    driver.copy(back, device, size, stream)
    driver.record(done, stream)
    driver.synchronize(done)

    assert driver.idle(stream)
    np.testing.assert_array_equal(pinned_bytes(back, size), data)
    driver.free(device)
    driver.unpin(host)
    driver.unpin(back)


@pytest.mark.parametrize("units", [1, 5, 511, 4096, 18_816])
@pytest.mark.parametrize("count", [1, 3, 64, 130])
def test_the_gather_copies_every_row(driver: CudaDriver, units: int, count: int) -> None:
    row_bytes, total = units * UNIT_BYTES, 40
    slab, address = driver.pin(total * row_bytes), driver.pin(order_bytes(130, 1))
    begun_at = driver.pin(8)
    target, back = driver.allocate(count * row_bytes), driver.pin(count * row_bytes)
    random = np.random.default_rng(units)
    data = random.integers(0, 256, (total, row_bytes), np.uint8)
    pinned_bytes(slab, data.nbytes)[:] = data.reshape(-1)
    wanted = random.integers(0, total, count).astype(np.int32)
    order = GatherOrder(address, 130, [row_bytes])
    stream, done = driver.stream(), driver.event(blocking=True)

    order.write([slab], wanted.tolist())
    driver.gather(Errand(order, 0, target, begun_at), stream)
    driver.copy(back, target, count * row_bytes, stream)
    driver.record(done, stream)
    driver.synchronize(done)

    found = pinned_bytes(back, count * row_bytes).reshape(count, row_bytes)
    np.testing.assert_array_equal(found, data[wanted])
    assert pinned_bytes(begun_at, 8).view(np.uint64)[0] > 0
    for block in (slab, address, back, begun_at):
        driver.unpin(block)
    driver.free(target)


@pytest.mark.parametrize("size", [8, 16, 2_000, DELIVER_BYTES, DELIVER_BYTES + 16])
def test_a_delivery_is_whole_when_its_last_time_is_there(driver: CudaDriver, size: int) -> None:
    room = size + UNIT_BYTES
    source, target, stamps = driver.allocate(room), driver.pin(room), driver.pin(16)
    given = driver.pin(room)
    stream = driver.stream()
    times = pinned_bytes(stamps, 16).view(np.uint64)

    for seed in range(20):
        data = np.random.default_rng(seed).integers(1, 256, room, np.uint8)
        pinned_bytes(given, room)[:] = data
        pinned_bytes(target, room)[:] = 0
        times[:] = 0
        driver.copy(source, given, room, stream)
        driver.deliver(Parcel(source, target, size, stamps, stamps + 8), stream)
        while not times[1]:
            pass

        np.testing.assert_array_equal(pinned_bytes(target, size), data[:size])
        assert 0 < times[0] <= times[1]
    driver.settle()
    driver.free(source)
    for block in (target, given, stamps):
        driver.unpin(block)


def test_a_graph_gathers_what_its_order_says_when_it_runs(driver: CudaDriver) -> None:
    count, row_bytes = 6, 4 * UNIT_BYTES
    slab, address = driver.pin(40 * row_bytes), driver.pin(order_bytes(count, 1))
    target, back = driver.allocate(count * row_bytes), driver.pin(count * row_bytes)
    data = np.arange(40 * row_bytes, dtype=np.uint32).astype(np.uint8).reshape(40, row_bytes)
    pinned_bytes(slab, data.nbytes)[:] = data.reshape(-1)
    order, stream = GatherOrder(address, count, [row_bytes]), driver.stream()
    graph = driver.capture(lambda: driver.gather(Errand(order, 0, target), stream), stream)

    for rows in ([3], [5, 1, 1, 39, 0, 7], [2, 4]):
        order.write([slab], rows)
        driver.launch(graph, stream)
        driver.copy(back, target, len(rows) * row_bytes, stream)
        driver.settle()

        found = pinned_bytes(back, len(rows) * row_bytes).reshape(len(rows), row_bytes)
        np.testing.assert_array_equal(found, data[rows])
    driver.destroy_graph(graph)
    driver.free(target)
    for block in (slab, address, back):
        driver.unpin(block)


def test_a_clock_of_the_device_counts_nanoseconds(driver: CudaDriver) -> None:
    stamps, stream = driver.pin(16), driver.stream()

    driver.stamp(stamps, stream)
    driver.settle()
    start_ns = time.monotonic_ns()
    time.sleep(0.05)
    driver.stamp(stamps + 8, stream)
    driver.settle()
    passed_ns = time.monotonic_ns() - start_ns

    first, second = pinned_bytes(stamps, 16).view(np.uint64).tolist()
    assert abs((second - first) - passed_ns) < 1_000_000
    driver.unpin(stamps)


def test_a_full_device_is_told_apart_and_still_works(driver: CudaDriver) -> None:
    with pytest.raises(OutOfMemoryError, match=r"cudaErrorMemoryAllocation"):
        driver.allocate(1 << 46)

    driver.free(driver.allocate(16))


def test_a_gpu_that_does_not_exist_is_refused() -> None:
    with pytest.raises(EngineError, match=r"device 99"):
        open_driver("99")


# The contract


class TorchCase(BackendTestCase):
    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return linear_answers(samples["x"])


class TestTorchWithGraphs(TorchCase, SlotsTestCase, SpawnTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return torch_spec(save(linear(), tmp_path))


class TestTorchWithoutGraphs(TorchCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        path = save(linear(), tmp_path)
        return torch_spec(path, slots=1, cuda_graphs=False, gather="staging", wait="block")


class TestTorchWithSamplesOnTheDevice(TorchCase, SlotsTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return torch_spec(save(linear(), tmp_path), samples_on_device=True, wait="spin")


class TestOnnxRuntime(TorchCase, SlotsTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        if "CUDAExecutionProvider" not in runtime.get_available_providers():
            pytest.skip("this onnxruntime has no CUDA provider")
        path = save(linear(), tmp_path)
        return EngineSpec("onnxruntime", path, (INPUT,), None, 6, "0", {}, 2)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_compiled_model_answers_the_same(tmp_path: Path) -> None:
    spec = torch_spec(save(linear(), tmp_path), compile="inductor", graph_sizes="1,4")
    samples = make_samples(spec, seed=3)
    engine = open_engine(spec)
    engine.bind(samples)

    for rows in ([2], [4, 1, 1], [5, 4, 3, 2, 1, 0]):
        want = linear_answers(samples["x"])[0][rows]
        np.testing.assert_array_equal(engine.infer(rows)[0], want)
    engine.close()


class EchoKernel:
    """Answers its input, by a copy on the device."""

    sizes = (2, 6)
    capturable = True
    inputs = (TensorSpec("x", (1 << 16,), "float32"),)
    outputs = (TensorSpec("y", (1 << 16,), "float32"),)

    def __init__(self, driver: CudaDriver) -> None:
        self._driver = driver
        self.facts: dict[str, OptionValue] = {"backend": "echo"}

    def prepare(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        self.enqueue(batch_size, sources, targets, stream)

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        self._driver.copy(targets[0], sources[0], batch_size << 18, stream)

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("gather", ["kernel", "copies", "staging"])
def test_large_rows_and_outputs_keep_their_batch(
    driver: CudaDriver, slots: int, gather: Literal["kernel", "copies", "staging"]
) -> None:
    spec = EngineSpec("echo", None, EchoKernel.inputs, None, 6, "0", {}, slots)
    samples = np.random.default_rng(2).standard_normal((8, 1 << 16)).astype(np.float32)
    options = CudaOptions(gather=gather)
    engine = open_cuda_engine(driver, EchoKernel(driver), spec, options, "echo")
    engine.bind({"x": samples})
    batches = [range(1, 7), [3], [7, 1, 0, 5, 5], range(2)] * 10

    for k, rows in enumerate(batches):
        if k >= slots:
            (found,), _ = engine.wait(k % slots)
            np.testing.assert_array_equal(found, samples[list(batches[k - slots])])
            assert min(engine.parts(k % slots)) >= 0
        engine.launch(k % slots, rows)

    for k in range(len(batches), len(batches) + slots):
        (found,), _ = engine.wait(k % slots)
        np.testing.assert_array_equal(found, samples[list(batches[k - slots])])
    engine.close()


# Times


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[CudaEngine]:
    engine = open_engine(torch_spec(save(linear(), tmp_path), slots=2))
    assert isinstance(engine, CudaEngine)
    engine.bind(make_samples(torch_spec(""), seed=1))
    yield engine
    engine.close()


def test_the_times_of_a_batch_lie_between_its_launch_and_its_collection(
    engine: CudaEngine,
) -> None:
    for k in range(200):
        before_ns = time.monotonic_ns()
        engine.launch(k % 2, [k % 5, 0])
        _, (started_ns, finished_ns) = engine.wait(k % 2)

        assert before_ns <= started_ns <= finished_ns <= time.monotonic_ns()


def test_the_parts_of_a_batch_add_up_to_its_latency_within_20_us(engine: CudaEngine) -> None:
    """What they leave out is the host: enqueueing before the first event, and waking up."""
    left_out_ns = []
    for k in range(500):
        before_ns = time.monotonic_ns()
        engine.infer([k % 5, 0])
        left_out_ns.append(time.monotonic_ns() - before_ns - sum(engine.parts(0)))

    assert 0 <= np.median(left_out_ns) <= 20_000 * 2


# Memory


@pytest.mark.slow
@pytest.mark.parametrize("what", ["bind", "open"])
def test_ten_runs_take_the_device_memory_of_one(
    driver: CudaDriver, tmp_path: Path, what: str
) -> None:
    spec = torch_spec(save(linear(), tmp_path), cap=64)

    def run(engine: object) -> None:
        assert isinstance(engine, CudaEngine)
        engine.bind(make_samples(spec, seed=1))
        engine.infer([3, 1, 2])

    kept = open_engine(spec)
    free = []
    for _ in range(10):
        engine = kept if what == "bind" else open_engine(spec)
        run(engine)
        if engine is not kept:
            engine.close()
        gc.collect()
        free.append(driver.free_bytes())
    kept.close()

    assert free == [free[0]] * len(free)


# A device that is lost


@pytest.mark.slow
def test_a_lost_device_ends_the_run_as_an_error_with_the_cuda_name(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    out = tmp_path / "run"
    command = [sys.executable, "-m", "sut", "run", "-b", "efficientnet-lite0", "-s", "Offline"]
    options = ["--backend", "torch", "--devices", "0", "--instances", "1", "--out", str(out)]
    batches = ["--max-batch-size", "8", "--slots", "2", "--min-duration-s", "5"]
    drill = ["--set", "fail_at_s=1.0", "--set", "compile=none", "--set", "graph_sizes=8"]

    done = subprocess.run(
        [*command, *options, *batches, *drill],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "cudaError" in done.stderr
    assert not (out / "mlperf_log_summary.txt").exists()
