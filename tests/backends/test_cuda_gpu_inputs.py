"""Several inputs on a GPU: one graph gathers all, the contract, and arrays that are not bound."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.base import EngineSpec, TensorSpec
from backends.cuda.driver import Errand
from backends.cuda.engine import CudaEngine, open_cuda_engine
from backends.cuda.gpu import open_driver
from backends.cuda.options import CudaOptions
from backends.cuda.order import GatherOrder, order_bytes
from backends.cuda.pinned import pinned_bytes
from backends.cuda.slots import tensor_bytes
from tests.backends.conformance import SeveralInputsTestCase, SlotsTestCase, make_samples, rows_of
from tests.backends.models import THREE, save, three, three_answers
from tests.backends.test_cuda_gpu import PROBLEM, torch_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backends.base import Array, Arrays, OptionValue
    from backends.cuda.gpu import CudaDriver

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)]

# As those of a text and an image together: rows of 3,072, 6 and 262,144 bytes.
WIDE = (
    TensorSpec("ids", (384,), "int64"),
    TensorSpec("mask", (6,), "bool"),
    TensorSpec("image", (1 << 16,), "float32"),
)
CAP = 6


@pytest.fixture
def driver() -> CudaDriver:
    driver = open_driver("0")
    driver.use()
    return driver


def test_a_graph_gathers_the_same_rows_of_every_input(driver: CudaDriver) -> None:
    total, sizes = 40, (16, 3_072, 301_056)
    random = np.random.default_rng(0)
    data = [random.integers(0, 256, (total, size), np.uint8) for size in sizes]
    slabs = [driver.pin(held.nbytes) for held in data]
    for slab, held in zip(slabs, data, strict=True):
        pinned_bytes(slab, held.nbytes)[:] = held.reshape(-1)
    address = driver.pin(order_bytes(CAP, len(sizes)))
    order, stream = GatherOrder(address, CAP, sizes), driver.stream()
    targets = [driver.allocate(CAP * size) for size in sizes]
    back = [driver.pin(CAP * size) for size in sizes]

    def gather() -> None:
        for part, target in enumerate(targets):
            driver.gather(Errand(order, part, target), stream)

    graph = driver.capture(gather, stream)
    for rows in ([3], [5, 1, 1, 39, 0, 7], [2, 4]):
        order.write(slabs, rows)
        driver.launch(graph, stream)
        for target, block, size in zip(targets, back, sizes, strict=True):
            driver.copy(block, target, len(rows) * size, stream)
        driver.settle()

        for block, held, size in zip(back, data, sizes, strict=True):
            found = pinned_bytes(block, len(rows) * size).reshape(len(rows), size)
            np.testing.assert_array_equal(found, held[rows])
    driver.destroy_graph(graph)
    for target in targets:
        driver.free(target)
    for block in (*slabs, *back, address):
        driver.unpin(block)


# The contract


class Three(SeveralInputsTestCase):
    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return three_answers(**samples)


class TestTorch(Three, SlotsTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return replace(torch_spec(save(three(), tmp_path)), inputs=THREE)


class TestTorchWithoutGraphs(Three):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        spec = torch_spec(
            save(three(), tmp_path), slots=1, cuda_graphs=False, gather="staging", wait="block"
        )
        return replace(spec, inputs=THREE)


class TestOnnxRuntime(Three, SlotsTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        if "CUDAExecutionProvider" not in runtime.get_available_providers():
            pytest.skip("this onnxruntime has no CUDA provider")
        return EngineSpec("onnxruntime", save(three(), tmp_path), THREE, None, CAP, "0", {}, 2)


# Large rows beside small ones


class EchoKernel:
    """Answers each of its inputs, by copies on the device."""

    sizes = (2, CAP)
    capturable = True

    def __init__(self, driver: CudaDriver, inputs: tuple[TensorSpec, ...]) -> None:
        self._driver = driver
        self.inputs = self.outputs = inputs
        self.facts: dict[str, OptionValue] = {"backend": "echo"}

    def prepare(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        self.enqueue(batch_size, sources, targets, stream)

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        for source, target, tensor in zip(sources, targets, self.inputs, strict=True):
            self._driver.copy(target, source, batch_size * tensor_bytes(tensor), stream)

    def close(self) -> None:
        """Nothing is held."""


def opened(
    driver: CudaDriver, inputs: tuple[TensorSpec, ...], slots: int, options: CudaOptions
) -> CudaEngine:
    spec = EngineSpec("echo", None, inputs, None, CAP, "0", {}, slots)
    engine = open_cuda_engine(driver, EchoKernel(driver, inputs), spec, options, "echo")
    engine.bind(make_samples(spec, seed=2))
    return engine


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        CudaOptions(),
        CudaOptions(gather="copies"),
        CudaOptions(gather="staging"),
        CudaOptions(samples_on_device=True),
    ],
)
def test_rows_of_every_input_keep_their_batch_beside_arrays(
    driver: CudaDriver, slots: int, options: CudaOptions
) -> None:
    inputs = WIDE[::2] if options.samples_on_device else WIDE
    samples = make_samples(EngineSpec("echo", None, inputs, None, CAP), seed=2)
    engine = opened(driver, inputs, slots, options)
    batches = [range(1, 7), [3], [7, 1, 0, 5, 5], range(2), [11, 0]] * 8

    def launch(k: int) -> None:
        if k % 3:
            engine.launch(k % slots, batches[k])
        else:
            engine.launch_arrays(k % slots, rows_of(samples, list(batches[k])))

    def collect(k: int) -> None:
        found, _ = engine.wait(k % slots)
        for answer, array in zip(found, samples.values(), strict=True):
            np.testing.assert_array_equal(answer, array[list(batches[k])])
        assert min(engine.parts(k % slots)) >= 0

    for k in range(len(batches)):
        if k >= slots:
            collect(k - slots)
        launch(k)
    for k in range(len(batches) - slots, len(batches)):
        collect(k)
    engine.close()
