"""The structures of a benchmark file: what its YAML may say, with types and units.

Knows no file and runs nothing; `data.benchmark` loads it, the other modules of `data` act on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from data.dataset_schema import (
    ArraysData,
    BuiltinData,
    CocoData,
    FolderData,
    ImagenetData,
    SyntheticData,
)
from data.harness_defaults import HarnessDefaults
from data.series import series_of
from data.steps import Color, Exif, Normalization, Normalize, Step
from data.strict_yaml import Positive, PositiveFloat, Sha256, StrictStruct, Text
from data.tasks import (
    DEFAULT,
    AnyPostprocess,
    MetricName,
    TaskName,
    default_postprocess,
    task_of,
)
from sut.base.errors import nearest

ScenarioName = Literal["SingleStream", "MultiStream", "Server", "Offline"]
RoundName = Literal["current", "v0.5"]
Fraction = Annotated[float, Meta(gt=0, lt=1)]
# A name becomes part of file and folder names.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Md5 = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]


# Where a model comes from: a benchmark lists sources, and the first that is at hand is used.


class PackageModel(StrictStruct, frozen=True, tag_field="kind", tag="package"):
    """A model file inside an installed package, which is read by path and never imported.

    Attributes:
        package: a pip requirement, such as "some-model==0.1.0".
        path: of the file, from the folder that packages are installed in.
        converter: a name of data.model.CONVERTERS; None where the file is ONNX already.
        sha256: of the file, followed by the files of its weights, if any.
    """

    package: Text
    path: Text
    sha256: Sha256
    converter: str | None = None


class FileModel(StrictStruct, frozen=True, tag_field="kind", tag="file"):
    """The user's own model file; a relative `path` starts at the benchmark file's folder.

    Attributes:
        path: of the file.
        sha256: of the file, followed by the files of its weights in order of their names, if any:
            `cat MODEL WEIGHTS... | sha256sum`. None: any file.
    """

    path: Text
    sha256: Sha256 | None = None


class UrlModel(StrictStruct, frozen=True, tag_field="kind", tag="url"):
    """Published weights. Without a checksum the program names them but never downloads them."""

    url: Annotated[str, Meta(pattern=r"^https?://")]
    sha256: Sha256 | None = None
    md5: Md5 | None = None
    size_bytes: Positive | None = None


class NpmModel(StrictStruct, frozen=True, tag_field="kind", tag="npm"):
    """A model inside an npm package, which `npm pack` fetches; no code of the package runs.

    Attributes:
        package: with its version, such as "@scope/name@1.2.3".
        files: from its root, the one that names the others first; `sha256` is of `cat FILES...`.
        converter: a name of data.model.CONVERTERS.
    """

    package: Annotated[str, Meta(pattern=r"^(@[a-z0-9._-]+/)?[a-z0-9._-]+@[0-9][A-Za-z0-9.+-]*$")]
    files: Annotated[tuple[Text, ...], Meta(min_length=1)]
    sha256: Sha256
    converter: Text


class MadeModel(StrictStruct, frozen=True, tag_field="kind", tag="made"):
    """A known network with random weights from a seed. Good only for timing.

    Attributes:
        maker: a name of data.model.MAKERS.
        seed: of the weights.
        dtype: of the weights and of the input.
        side: of the square image that it takes, in pixels; None: the network's own.
    """

    maker: Text
    seed: Annotated[int, Meta(ge=0)] = 0
    dtype: Literal["float32", "float16"] = "float32"
    side: Positive | None = None


ModelSource = PackageModel | FileModel | UrlModel | NpmModel | MadeModel


class InputTensor(StrictStruct, frozen=True):
    """An input of the model.

    Attributes:
        name: as the model spells it.
        shape: sizes without the batch axis; none for one number a sample.
        dtype: of one element.
        layout: of an image's axes, after preprocessing. None if the input is not an image.
        normalize: what the model does first to uint8 pixels. The model's file takes floats;
            data.model writes the nodes in front of it. None: the file takes `dtype` itself.
    """

    name: Text
    shape: tuple[Positive, ...]
    dtype: Literal["float32", "float16", "uint8", "int8", "int32", "int64", "bool"] = "float32"
    layout: Literal["NCHW", "NHWC"] | None = None
    normalize: Normalization | None = None

    def __post_init__(self) -> None:
        """Refuse to normalise in the model what are no pixels."""
        if self.normalize is None:
            return
        if self.dtype != "uint8" or self.layout is None:
            raise ValueError(
                f"input.normalize: is of pixels, but the input is {self.dtype}, layout "
                f"{self.layout or 'none'}; expected uint8 and a layout"
            )
        self.normalize.check_channels(self.shape[0 if self.layout == "NCHW" else -1])


DatasetOptions = BuiltinData | ImagenetData | FolderData | CocoData | ArraysData | SyntheticData


class AccuracyRule(StrictStruct, frozen=True):
    """How answers are judged.

    Attributes:
        metric: its name in a task.
        target: the lowest accepted value, 0 to 1; None: no target.
        count: samples of the official data set; a verdict needs all of them.
    """

    metric: MetricName = DEFAULT.metric or ""
    target: Fraction | None = None
    count: Positive | None = None


class RoundRules(StrictStruct, frozen=True):
    """The rules of one MLPerf round for this benchmark in one scenario.

    Rules for all benchmarks are in the scenarios.

    Attributes:
        target_latency_ms: Server's bound; None leaves LoadGen's own.
    """

    target_latency_ms: PositiveFloat | None = None


class BenchmarkSpec(StrictStruct, frozen=True, kw_only=True):
    """A benchmark file.

    Attributes:
        name: on the command line and in results.
        description: one sentence for people.
        task: what the model does; a name of data.tasks.TASKS.
        mlperf: the submission checker's names for it, such as yolo-99 and yolo-95: the first is
            submitted unless `--stands-for` says another; none: no MLPerf benchmark.
        loadgen_model: LoadGen's name for it in mlperf.conf and user.conf; None: `name`.
        models: sources of the model, in order of preference.
        input: what the model is fed; a list, if it has several inputs. A model whose file has no
            names takes them in the order of the list.
        output: the output to return first; None for the model's first.
        preprocess: steps from an image file to one sample.
        dataset: where samples come from.
        postprocess: from outputs to LoadGen's bytes.
        accuracy: how the answers are judged.
        performance_sample_count: samples that LoadGen loads at once; a smaller data set has fewer.
        rounds: MLPerf's bounds by round and scenario.
        harness: defaults by scenario.
    """

    name: Name
    description: str = ""
    task: TaskName = DEFAULT.name
    mlperf: Text | tuple[Text, ...] = ()
    loadgen_model: Name | None = None
    models: tuple[ModelSource, ...] = ()
    input: InputTensor | Annotated[tuple[InputTensor, ...], Meta(min_length=1)]
    output: Text | None = None
    preprocess: tuple[Step, ...] = ()
    dataset: DatasetOptions
    postprocess: AnyPostprocess = default_postprocess()
    accuracy: AccuracyRule = AccuracyRule()
    performance_sample_count: Positive = 1024
    rounds: Mapping[RoundName, Mapping[ScenarioName, RoundRules]] = {}
    harness: Mapping[ScenarioName, HarnessDefaults] = {}

    @property
    def mlperf_names(self) -> tuple[str, ...]:
        """The submission checker's names for it."""
        return (self.mlperf,) if isinstance(self.mlperf, str) else self.mlperf

    @property
    def inputs(self) -> tuple[InputTensor, ...]:
        """What the model is fed, in the order of the file."""
        return self.input if isinstance(self.input, tuple) else (self.input,)

    def __post_init__(self) -> None:
        """Refuse what cannot be fed, and steps in an impossible order."""
        self._check_inputs()
        self._check_steps()
        self._check_postprocess()

    def _check_inputs(self) -> None:
        names = [tensor.name for tensor in self.inputs]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f'input: "{repeated}" is repeated; expected each input once')
        images = not isinstance(self.dataset, ArraysData | SyntheticData)
        if images and not self.inputs[0].shape:
            raise ValueError("input.shape: no axes; expected those of an image")
        if images and len(names) > 1:
            raise ValueError(
                f"input: {len(names)} inputs, but an image is one; expected a dataset of kind "
                "arrays or synthetic"
            )
        if isinstance(self.dataset, ArraysData) and self.preprocess:
            raise ValueError(
                "preprocess: its steps are for images; expected none with a dataset of arrays"
            )
        if isinstance(self.dataset, SyntheticData):
            self._check_synthetic(self.dataset, names)

    def _check_synthetic(self, dataset: SyntheticData, names: Sequence[str]) -> None:
        for name in dataset.below:
            if name not in names:
                raise ValueError(
                    f'dataset.below: there is no input "{name}"; expected one of '
                    f"{', '.join(names)}.{nearest(name, names)}"
                )
        if dataset.like:
            try:
                series_of(dataset, {tensor.name: tensor.shape for tensor in self.inputs})
            except ValueError as error:
                raise ValueError(f"dataset.like: {error}") from error

    def _check_steps(self) -> None:
        """Refuse steps in an impossible order: only pixels can be resized and cropped."""
        if any(isinstance(step, Normalize) for step in self.preprocess[:-1]):
            raise ValueError(
                "preprocess: normalize is not the last step; expected it once and last"
            )
        last = self.preprocess[-1] if self.preprocess else None
        if isinstance(last, Normalize) and any(tensor.normalize for tensor in self.inputs):
            raise ValueError(
                "preprocess: normalize, but the model normalises (input.normalize); expected one "
                "of them"
            )
        if any(isinstance(step, Exif) for step in self.preprocess[1:]):
            raise ValueError("preprocess: exif is not the first step; expected it once and first")
        for step in self.preprocess:
            if isinstance(step, Normalize) and Color(order="L") in self.preprocess:
                step.check_channels(1)

    def _check_postprocess(self) -> None:
        """Refuse boxes of what is no image, and a metric for other answers."""
        if self.postprocess.needs_frames and not any(tensor.layout for tensor in self.inputs):
            raise ValueError(
                "postprocess: boxes are of an image; expected `layout: NCHW` or `layout: NHWC` in "
                "the input"
            )
        metric = task_of(self.postprocess).metric
        if metric and metric != self.accuracy.metric:
            raise ValueError(
                f"accuracy.metric: {self.accuracy.metric} does not judge the answers of this "
                f"postprocess; expected {metric}"
            )
