"""From a pipeline's file, and what the command line says instead, to what opens its stages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from data.variant import in_pixels, takes_pixels
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import resolve_workload
from sut.video.flow.stage import StagePlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue
    from data.benchmark import Benchmark
    from data.harness_defaults import QueueDelay
    from sut.config.settings import HarnessSettings
    from sut.video.pipeline_file import Pipeline, StageSpec

SCENARIO = "Server"  # frames come over time; it chooses the harness's defaults
# A quarter of the time between two frames of a camera. An H200 that decodes, too, was busy for 49 %
# of the time with 24 streams; with 20 that did not wait, for 99 %: docs/results/video.md.
_GATHER_US = 8000
_NORMALISE = {"onnxruntime", "tensorrt", "torch"}  # backends of models that are written again


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says instead of the pipeline's file; None: what the file says.

    Attributes:
        system: a system in user_confs/.
        backend: of all stages.
        devices: of all stages.
        mux_batch: largest batch of the first stage.
        mux_timeout_us: how long a frame may wait for its batch; "late": until an engine is free.
        live: frames come at the pace of cameras.
        workers: kind of all stages' workers.
        pixels: models are fed with pixels and normalise them; None: on GPUs they are.
        backend_options: of all stages.
    """

    system: str | None = None
    backend: str | None = None
    devices: tuple[str, ...] | None = None
    mux_batch: int | None = None
    mux_timeout_us: QueueDelay | None = None
    live: bool = False
    workers: str | None = None
    pixels: bool | None = None
    backend_options: Mapping[str, OptionValue] = field(default_factory=dict)


def stage_plans(pipeline: Pipeline, overrides: Overrides) -> list[StagePlan]:
    """Resolve the stages of a pipeline: harness, model, and its file.

    Raises:
        SutError: a setting is wrong, or a model is not to be had.
    """
    plans = []
    for place, (spec, benchmark) in enumerate(
        zip(pipeline.spec.stages, pipeline.benchmarks, strict=True)
    ):
        arguments = _arguments(spec, str(benchmark.file), overrides, first=place == 0)
        harness = _gathering(resolve(arguments).harness, spec, overrides, first=place == 0)
        pixels = _takes_pixels(benchmark, harness, overrides.pixels)
        fed = in_pixels(benchmark) if pixels else benchmark
        workload = resolve_workload(fed, harness.backend, None)
        apart = (overrides.workers or spec.workers) == "process"
        plans.append(StagePlan(spec, fed, workload, harness, apart=apart))
    return plans


def _gathering(
    harness: HarnessSettings, spec: StageSpec, overrides: Overrides, *, first: bool
) -> HarnessSettings:
    """Return the harness of a stage: live frames wait for each other on GPUs.

    A GPU that takes each frame at once is busy all the time with batches of one or two, and keeps
    decoders and other users of it waiting. Where the next frame is due only after that time, as
    with few streams, nobody waits: see sut.serve.batcher.
    """
    said = overrides.mux_timeout_us is not None or spec.max_queue_delay_us is not None
    late = harness.max_queue_delay_us == "late"
    if first and overrides.live and late and not said and _on_gpus(harness):
        return replace(harness, max_queue_delay_us=_GATHER_US)
    return harness


def _on_gpus(harness: HarnessSettings) -> bool:
    return all(device.isdecimal() for device in harness.devices)


def _takes_pixels(benchmark: Benchmark, harness: HarnessSettings, asked: bool | None) -> bool:
    """Say whether a stage's model should normalise pixels; some take them as they are.

    On a GPU that costs nothing, and a frame has a quarter of the bytes to make, to copy and to
    send. On the CPU it costs more than it saves.
    """
    if benchmark.inputs[0].dtype == "uint8":
        return False
    if asked is not None:
        return asked
    return _on_gpus(harness) and harness.backend in _NORMALISE and takes_pixels(benchmark)


def _arguments(spec: StageSpec, file: str, overrides: Overrides, *, first: bool) -> Arguments:
    backend = overrides.backend or spec.backend
    # Options belong to a backend: the file's for another one than the user chose do not hold.
    options = {} if overrides.backend not in {None, spec.backend} else dict(spec.backend_options)
    return Arguments(
        benchmark=file,
        scenario=SCENARIO,
        system=overrides.system,
        backend=backend,
        devices=overrides.devices or spec.devices,
        instances=spec.instances,
        max_batch_size=(overrides.mux_batch if first else None) or spec.max_batch_size,
        max_queue_delay_us=spec.max_queue_delay_us
        if overrides.mux_timeout_us is None or not first
        else overrides.mux_timeout_us,
        slots=spec.slots,
        backend_options={**options, **overrides.backend_options},
    )
