"""The structures of a benchmark file: what its YAML may say, with types and units.

Knows no file and runs nothing; `data.benchmark` loads it, the other modules of `data` act on it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from data.strict_yaml import StrictStruct
from data.tasks import DEFAULT, AnyPostprocess, MetricName, TaskName, default_postprocess

ScenarioName = Literal["SingleStream", "MultiStream", "Server", "Offline"]
RoundName = Literal["current", "v0.5"]
Positive = Annotated[int, Meta(gt=0)]
PositiveFloat = Annotated[float, Meta(gt=0)]
Fraction = Annotated[float, Meta(gt=0, lt=1)]
# A name becomes part of file and folder names.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Text = Annotated[str, Meta(min_length=1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

_COLOR_CHANNELS = 3


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
    """

    maker: Text
    seed: Annotated[int, Meta(ge=0)] = 0
    dtype: Literal["float32", "float16"] = "float32"


ModelSource = PackageModel | FileModel | UrlModel | NpmModel | MadeModel


class InputTensor(StrictStruct, frozen=True):
    """The input of the model.

    Attributes:
        name: as the model spells it.
        shape: sizes without the batch axis.
        dtype: of one element.
        layout: of an image's axes, after preprocessing. None if the input is not an image.
    """

    name: Text
    shape: Annotated[tuple[Positive, ...], Meta(min_length=1)]
    dtype: Literal["float32", "float16", "uint8", "int8", "int32", "int64"] = "float32"
    layout: Literal["NCHW", "NHWC"] | None = None


# Steps of preprocessing, in the order of the file. Layout and dtype are those of the input.


class ResizeShorter(StrictStruct, frozen=True, tag_field="step", tag="resize_shorter"):
    """Scale so that the shorter side is `size` pixels; the longer one is cut to whole pixels."""

    size: Positive
    filter: Filter = "bilinear"


class Resize(StrictStruct, frozen=True, tag_field="step", tag="resize"):
    """Scale to exactly `height` x `width` pixels, whatever the aspect ratio."""

    height: Positive
    width: Positive
    filter: Filter = "bilinear"


class CenterCrop(StrictStruct, frozen=True, tag_field="step", tag="center_crop"):
    """Keep the middle `height` x `width` pixels; a smaller image is refused."""

    height: Positive
    width: Positive


class Color(StrictStruct, frozen=True, tag_field="step", tag="color"):
    """Order the channels; "L" is one channel of grey. Without this step an image is RGB."""

    order: Literal["RGB", "BGR", "L"]


class Normalize(StrictStruct, frozen=True, tag_field="step", tag="normalize"):
    """Compute (x - mean) / std in float32 on x in 0..255: one number, or one a channel."""

    mean: float | tuple[float, ...] = 0.0
    std: PositiveFloat | tuple[PositiveFloat, ...] = 1.0

    def __post_init__(self) -> None:
        """Refuse a list that fits neither grey nor colour."""
        self.check_channels(_COLOR_CHANNELS)

    def check_channels(self, channels: int) -> None:
        """Raise ValueError unless the numbers are one, or one a channel."""
        for name, value in (("mean", self.mean), ("std", self.std)):
            if isinstance(value, tuple) and len(value) not in (1, channels):
                raise ValueError(
                    f"normalize: {name} has {len(value)} numbers; expected 1, or one for each of "
                    f"{channels} channels"
                )


class Exif(StrictStruct, frozen=True, tag_field="step", tag="exif"):
    """Whether the orientation that a camera noted in EXIF turns the image; without this step: yes.

    It is the first step. A model that was trained on images as they lie in their files needs
    "ignore". The orientation in a TIFF's own tags always applies.
    """

    orientation: Literal["apply", "ignore"] = "apply"


Step = Exif | ResizeShorter | Resize | CenterCrop | Color | Normalize


# Data sets. A relative folder starts at the benchmark file's folder; `--data DIR` replaces it.


class BuiltinData(StrictStruct, frozen=True, tag_field="kind", tag="builtin"):
    """Images inside an installed package, with the label in each file's name.

    Attributes:
        package: a pip requirement.
        folder: of the images, from the folder that packages are installed in.
        pattern: a regular expression for the whole file name, with the group `label`.
        sha256: of the files' contents one after the other, in the order of their names.
    """

    package: Text
    folder: Text
    pattern: Text
    sha256: Sha256

    def __post_init__(self) -> None:
        """Refuse a pattern that names no label."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a later Python may read it in another way
                groups = re.compile(self.pattern).groupindex
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from error
        if "label" not in groups:
            raise ValueError('pattern has no group; expected "(?P<label>[0-9]+)" in it')


class ImagenetData(StrictStruct, frozen=True, tag_field="kind", tag="imagenet"):
    """ImageNet's validation images beside `val_map.txt`: a line `NAME LABEL` a sample, in order."""

    folder: Text | None = None
    val_map: Text = "val_map.txt"
    classes: Positive = 1000


class FolderData(StrictStruct, frozen=True, tag_field="kind", tag="folder"):
    """A folder of images.

    Attributes:
        folder: None if only `--data DIR` names it.
        labels: a CSV file in that folder with a line `file,label` for each sample; None: no labels,
            which is enough for a performance run.
        classes: labels are 0 to classes - 1; None: no upper limit.
    """

    folder: Text | None = None
    labels: Text | None = None
    classes: Positive | None = None


class SyntheticData(StrictStruct, frozen=True, tag_field="kind", tag="synthetic"):
    """Random samples from a seed. Good for timing, and always named as synthetic in a result."""

    count: Positive
    seed: Annotated[int, Meta(ge=0)] = 0


DatasetOptions = BuiltinData | ImagenetData | FolderData | SyntheticData


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


# How long a sample may wait for its batch to fill, in us; "late" closes each batch when its device
# is about to be free.
QueueDelay = int | Literal["late"]


class HarnessDefaults(StrictStruct, frozen=True):
    """Harness settings, unless the command line or a system file has others.

    Attributes:
        max_batch_size: samples.
        device_max_batch_size: samples, for devices with smaller batches.
        max_queue_delay_us: how long the oldest sample may wait for its batch to fill; "late" closes
            a batch when its device is about to be free.
        slots: batches in flight per worker.
        instances: workers per device; "cores": one for each CPU core that the process may use.
        workers: the kind of worker.
        backend_options: options of the backend by name, such as intra_op_threads.
    """

    max_batch_size: Positive | None = None
    device_max_batch_size: Mapping[str, Positive] | None = None
    max_queue_delay_us: Annotated[int, Meta(ge=0)] | Literal["late"] | None = None
    slots: Positive | None = None
    instances: Positive | Literal["cores"] | None = None
    workers: Literal["inline", "thread", "process"] | None = None
    backend_options: Mapping[str, str | int | float | bool] = {}


class BenchmarkSpec(StrictStruct, frozen=True, kw_only=True):
    """A benchmark file.

    Attributes:
        name: on the command line and in results.
        description: one sentence for people.
        task: what the model does; a name of data.tasks.TASKS.
        mlperf: the submission checker's name for it; None: no MLPerf benchmark.
        loadgen_model: LoadGen's name for it in mlperf.conf and user.conf; None: `name`.
        models: sources of the model, in order of preference.
        input: what the model is fed.
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
    mlperf: str | None = None
    loadgen_model: Name | None = None
    models: tuple[ModelSource, ...] = ()
    input: InputTensor
    output: Text | None = None
    preprocess: tuple[Step, ...] = ()
    dataset: DatasetOptions
    postprocess: AnyPostprocess = default_postprocess()
    accuracy: AccuracyRule = AccuracyRule()
    performance_sample_count: Positive = 1024
    rounds: Mapping[RoundName, Mapping[ScenarioName, RoundRules]] = {}
    harness: Mapping[ScenarioName, HarnessDefaults] = {}

    def __post_init__(self) -> None:
        """Refuse steps in an impossible order: only pixels can be resized and cropped."""
        if any(isinstance(step, Normalize) for step in self.preprocess[:-1]):
            raise ValueError(
                "preprocess: normalize is not the last step; expected it once and last"
            )
        if any(isinstance(step, Exif) for step in self.preprocess[1:]):
            raise ValueError("preprocess: exif is not the first step; expected it once and first")
        for step in self.preprocess:
            if isinstance(step, Normalize) and Color(order="L") in self.preprocess:
                step.check_channels(1)
