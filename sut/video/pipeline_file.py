"""The file of a pipeline: which models run on frames, which on crops, and how each is batched.

A model is a benchmark, by its name or by its own YAML file, so an own model needs no Python. Opens
neither a model nor a clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from data.benchmark import load_benchmark
from data.harness_defaults import BatchSize, QueueDelay  # msgspec reads them at run time
from data.schema import Name
from data.strict_yaml import Positive, StrictStruct, Text, load_strict
from data.tasks.detection.boxes import BoxOptions
from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from data.benchmark import Benchmark

# Where the pipelines of this program lie.
FOLDER = Path(__file__).resolve().parents[2] / "data" / "pipelines"
Share = Annotated[float, Meta(ge=0, le=1)]
Index = Annotated[int, Meta(ge=0)]


class Grow(StrictStruct, frozen=True):
    """How far a crop reaches beyond its box, in shares of the box's width and height."""

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0


class Crops(StrictStruct, frozen=True):
    """What a stage gets to see of a frame: one crop a box of an earlier stage.

    Attributes:
        of: the stage that finds the boxes.
        classes: names of the boxes that are cropped; none: all.
        grow: beyond the box; what lies outside the frame is black.
        min_side: pixels; smaller boxes are left out, and counted.
        most: crops of a frame, those with the best scores; the others are left out, and counted.
        frames: "inferred": only of frames in which the first stage ran; "all": also where a tracker
            alone says where the boxes are.
    """

    of: Text
    classes: tuple[Text, ...] = ()
    grow: Grow = Grow()
    min_side: Positive = 8
    most: Positive = 64
    frames: Literal["inferred", "all"] = "inferred"


class Pretend(StrictStruct, frozen=True):
    """What a stage finds whose backend computes nothing: only a time, or nothing at all.

    Attributes:
        boxes: in each frame or crop.
    """

    boxes: Index = 0


class StageSpec(StrictStruct, frozen=True, kw_only=True):
    """A stage of a pipeline file.

    Attributes:
        name: in figures, and for stages on its crops.
        benchmark: says model, input, preprocess and postprocess: a name, or a YAML file from the
            pipeline file's folder.
        crops: what it sees; None: whole frames.
        classes: the number of each class by its name; classes without a name keep their number.
        keep: names of the classes that go on; none: all.
        confidence: the least score that goes on, beside the benchmark's own.
        backend: of its engine, as `sut run --backend`.
        devices: likewise.
        instances: likewise.
        max_batch_size: likewise; of frames of several streams, or of crops.
        max_queue_delay_us: likewise.
        slots: likewise.
        workers: "thread", or "process": each engine in a process of its own.
        backend_options: likewise.
        pretend: what it finds if its backend computes nothing.
    """

    name: Name
    benchmark: Text
    crops: Crops | None = None
    classes: Mapping[str, Index] = {}
    keep: tuple[Text, ...] = ()
    confidence: Share = 0.0
    backend: Text | None = None
    devices: tuple[Text, ...] | None = None
    instances: Positive | None = None
    max_batch_size: BatchSize | None = None
    max_queue_delay_us: QueueDelay | None = None
    slots: Positive | None = None
    workers: Literal["thread", "process"] = "thread"
    backend_options: Mapping[str, str | int | float | bool] = {}
    pretend: Pretend = Pretend()

    def __post_init__(self) -> None:
        """Refuse names of classes that there are not."""
        for name in self.keep:
            if name not in self.classes:
                raise ValueError(
                    f"keep: {name} is no class; expected one of {', '.join(self.classes) or 'none'}"
                )


class PipelineSpec(StrictStruct, frozen=True, kw_only=True):
    """A pipeline file.

    Attributes:
        name: in results.
        description: one sentence for people.
        stages: in the order in which a frame passes them; the first sees frames, and its boxes are
            tracked.
    """

    name: Name
    description: str = ""
    stages: Annotated[tuple[StageSpec, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse stages whose crops nobody finds."""
        before: list[StageSpec] = []
        for stage in self.stages:
            names = [known.name for known in before]
            if stage.name in names:
                raise ValueError(f"stages: {stage.name} is repeated; expected each name once")
            if bool(before) != (stage.crops is not None):
                said = "has no crops" if before else "has crops"
                wanted = "crops of an earlier one" if before else "whole frames"
                raise ValueError(f"stages: {stage.name} {said}; expected {wanted}")
            if stage.crops is not None:
                if stage.crops.of not in names:
                    raise ValueError(
                        f"stages: {stage.name}: crops.of is {stage.crops.of}; expected one of "
                        f"{', '.join(names)}, which come before it"
                    )
                _check_classes(stage, before[names.index(stage.crops.of)])
            before.append(stage)


def _check_classes(stage: StageSpec, found_by: StageSpec) -> None:
    assert stage.crops is not None, "only stages on crops name classes of others"
    for name in stage.crops.classes:
        if name not in found_by.classes:
            raise ValueError(
                f"stages: {stage.name}: crops.classes has {name}; expected one of "
                f"{', '.join(found_by.classes) or 'none'}, the classes of {found_by.name}"
            )


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A loaded pipeline.

    Attributes:
        spec: what its file says.
        file: the YAML file.
        benchmarks: of each stage, in their order.
    """

    spec: PipelineSpec
    file: Path
    benchmarks: tuple[Benchmark, ...]


def pipeline_names() -> tuple[str, ...]:
    """Return the names of the pipelines that come with this program."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_pipeline(name_or_path: str) -> Pipeline:
    """Load a pipeline by its name, or from a YAML file.

    Raises:
        ConfigError: no such pipeline, file or benchmark, or a mistake in it, with its line.
    """
    path = _find(name_or_path)
    spec = load_strict(path, PipelineSpec)
    benchmarks = tuple(_benchmark(path, stage) for stage in spec.stages)
    for stage, benchmark in zip(spec.stages, benchmarks, strict=True):
        _check(path, spec, stage, benchmark)
    return Pipeline(spec, path.absolute(), benchmarks)


def _benchmark(path: Path, stage: StageSpec) -> Benchmark:
    beside = path.parent / stage.benchmark
    return load_benchmark(str(beside) if beside.is_file() else stage.benchmark)


def _check(path: Path, spec: PipelineSpec, stage: StageSpec, benchmark: Benchmark) -> None:
    images = [tensor for tensor in benchmark.inputs if tensor.layout]
    where = f"{path}: stage {stage.name}: benchmark {benchmark.name}"
    if len(benchmark.inputs) != 1 or not images:
        raise ConfigError(
            f"{where} is fed {len(benchmark.inputs)} inputs; expected one, an image with `layout`."
        )
    cropped = {other.crops.of for other in spec.stages if other.crops is not None}
    if stage.name in cropped and not isinstance(benchmark.postprocess, BoxOptions):
        raise ConfigError(f"{where} finds no boxes; expected a detector: others see its crops.")


def _find(name_or_path: str) -> Path:
    if name_or_path in pipeline_names():
        return FOLDER / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.suffix in {".yaml", ".yml"}:
        raise ConfigError(f"{path}: no such file; expected a pipeline's YAML file.")
    known = pipeline_names()
    raise ConfigError(
        f'pipeline "{name_or_path}" does not exist; expected one of {", ".join(known)}, or a path '
        f"to a YAML file.{nearest(name_or_path, known)}"
    )
