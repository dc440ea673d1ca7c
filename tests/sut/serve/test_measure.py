"""S(b) as it is measured: which batches an engine is opened for, and what ends the measurement."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backends.base import OptionValue, TensorSpec
from data.tasks.other import Raw
from sut.base.errors import BatchTooLarge, EngineError
from sut.config.settings import HarnessSettings
from sut.config.workload import Model, Samples, Workload
from sut.serve.measure import Request, measure
from sut.serve.workers.executor import Executor, ExecutorSpec
from tests.backends.models import SHAPE, linear, save

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (1, 2, 4, 8)


def request(model: str | None, **options: OptionValue) -> Request:
    """Return what to measure on one device."""
    workload = Workload(
        benchmark="own",
        loadgen_model="own",
        model=Model(model, "", "a test") if model else None,
        inputs=(TensorSpec("x", SHAPE, "float32"),),
        output_name=None,
        postprocess=Raw(),
        performance_sample_count=8,
        samples=Samples((), 8),
    )
    harness = HarnessSettings(
        backend="onnxruntime" if model else "null",
        workers="thread",
        devices=("cpu",),
        instances=1,
        max_batch_size=1,
        max_queue_delay_us=0,
        slots=1,
        backend_options=options,
    )
    return Request(workload, harness, SIZES, bound_ns=None)


def test_the_way_of_the_samples_to_the_device_is_measured_beside_s_of_b() -> None:
    """S(b) does not show copies that overlap the batch before."""
    asked = request(None, base_ms=2.0, copy_in_ms_per_sample=0.2)
    asked = replace(asked, harness=replace(asked.harness, backend="simulated", slots=2))

    measured = measure(asked)

    assert measured.copy_in_ns == pytest.approx(0.2e6, rel=0.3)
    assert dict(measured.workers)["cpu"][8].median_ns == pytest.approx(2e6, rel=0.3)


class Opener:
    """Opens executors, and keeps for which largest batches."""

    def __init__(self) -> None:
        self.largest: list[int] = []

    def __call__(self, spec: ExecutorSpec) -> Executor:
        self.largest.append(spec.engine.max_batch_size)
        return self.open(spec)

    def open(self, spec: ExecutorSpec) -> Executor:
        return Executor(spec)


class UpTo(Opener):
    """Opens engines for batches of at most `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def open(self, spec: ExecutorSpec) -> Executor:
        if spec.engine.max_batch_size > self._limit:
            raise BatchTooLarge("device cpu: the memory is full.")
        return super().open(spec)


def test_a_bad_file_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model at all")
    opener = Opener()

    with pytest.raises(EngineError, match="cannot load it"):
        measure(request(str(path)), opener)

    assert opener.largest == [8]


def test_a_batch_that_is_too_large_is_halved_until_it_fits() -> None:
    opener = UpTo(3)

    measured = measure(request(None), opener)

    assert opener.largest == [8, 4, 2]
    assert list(dict(measured.workers)["cpu"]) == [1, 2]
    assert measured.notes[0].startswith("Device cpu ")
    assert "above 2" in measured.notes[0]


def test_a_batch_of_one_that_is_too_large_is_an_error() -> None:
    with pytest.raises(BatchTooLarge, match="memory is full"):
        measure(request(None), UpTo(0))


def test_a_model_whose_batch_axis_is_fixed_to_one_is_measured_at_one(tmp_path: Path) -> None:
    asked = request(save(linear(batch=1), tmp_path))
    fixed = replace(asked, workload=replace(asked.workload, output_name="logits"))

    measured = measure(fixed)

    assert list(dict(measured.workers)["cpu"]) == [1]


def test_a_device_that_fails_ends_the_measurement() -> None:
    """Sizes were measured before: that the device is lost is no matter of the batch."""
    with pytest.raises(RuntimeError, match="at batch 40"):
        measure(request(None, fail_at_batch=40, delay_us=4000))


def test_batches_that_run_alone_are_timed_where_they_are_asked_for() -> None:
    plain = request(
        None, curve="tft-fp16", curve_where="gpu=A100,backend=tensorrt,dataset=traffic",
        tail_every=20,
    )  # fmt: skip
    harness = replace(plain.harness, backend="simulated", devices=("0",))
    asked = replace(plain, harness=harness, sizes=(1, 2), alone=True)

    points = dict(measure(asked).workers)["0"]

    assert points[1].alone_ns["p99"] == pytest.approx(1.6e6, rel=0.5)
    assert points[1].alone_ns["p50"] == pytest.approx(points[1].median_ns, rel=0.01)
    assert points[1].alone_ns["p50"] < points[1].alone_ns["p99"]
    assert measure(replace(asked, alone=False)).workers[0][1][1].alone_ns == {}
