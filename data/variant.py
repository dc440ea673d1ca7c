"""A benchmark at another resolution, with a made model in another precision, or fed with pixels.

Nobody has data sets for the first two: samples are synthetic, and the name says that it is another
one. Pixels are the same samples before they are normalised, and give the same answers.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from data.benchmark import Benchmark, load_benchmark
from data.dataset_schema import ArraysData, SyntheticData
from data.model import check_side
from data.schema import InputTensor, MadeModel
from data.steps import Normalization, Normalize
from sut.base.errors import ConfigError
from sut.base.onnx_file import declared_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data.schema import ModelSource

# Rows and columns of an image in a sample's shape, by layout.
_AXES = {"NCHW": (1, 2), "NHWC": (0, 1)}
_IMAGE_AXES = 3
# Samples are kept on disk and in memory; a batch takes them more than once.
_MOST_BYTES, _LEAST_SAMPLES = 256 << 20, 4
_MOST_PIXELS = 16_384
_WHITE = 255.0
_SIZE = re.compile(r"([0-9]+)(?:x([0-9]+))?")


def load_variant(
    name_or_path: str,
    *,
    resolution: str | None = None,
    pixels: bool | None = None,
    model: Path | None = None,
) -> Benchmark:
    """Load a benchmark, as a command line asks for it.

    Args:
        name_or_path: see data.benchmark.load_benchmark.
        resolution: see `at_resolution`; None: its own.
        pixels: see `in_pixels`.
        model: the user's own file instead of the benchmark's; None: the benchmark's.

    Raises:
        ConfigError: no such benchmark, a mistake in it, or it cannot be varied so.
        DataError: the model file is missing or damaged.
    """
    benchmark = load_benchmark(name_or_path)
    if resolution is not None:
        benchmark = at_resolution(benchmark, resolution, model)
    return in_pixels(benchmark) if pixels else benchmark


def in_pixels(benchmark: Benchmark) -> Benchmark:
    """Return the benchmark whose samples stay 8-bit pixels, which its model normalises itself.

    Synthetic images are floats from 0 to 1, and become pixels by 255. It keeps its name: answers
    and rules are the same.

    Raises:
        ConfigError: its samples are not made of pixels.
    """
    image = benchmark.inputs[0]
    if image.normalize is not None:
        return benchmark
    reason = _no_pixels(benchmark)
    if reason:
        raise ConfigError(f"--pixels: {benchmark.name}: {reason}. Leave --pixels out.")
    steps = tuple(step for step in benchmark.preprocess if not isinstance(step, Normalize))
    normalize = Normalization()
    if isinstance(benchmark.dataset, SyntheticData):
        normalize = Normalization(std=_WHITE)
    elif len(steps) < len(benchmark.preprocess):
        last = benchmark.preprocess[-1]
        assert isinstance(last, Normalize), "the schema has it nowhere else"
        normalize = Normalization(last.mean, last.std)
    tensor = msgspec.structs.replace(image, dtype="uint8", normalize=normalize)
    return _changed(benchmark, {"input": tensor, "preprocess": steps})


def takes_pixels(benchmark: Benchmark) -> bool:
    """Say whether `in_pixels` takes the benchmark."""
    return benchmark.inputs[0].normalize is not None or _no_pixels(benchmark) is None


def _no_pixels(benchmark: Benchmark) -> str | None:
    """Return why the samples of a benchmark are not made of pixels; None: they are."""
    tensor, dataset = benchmark.inputs[0], benchmark.dataset
    if len(benchmark.inputs) > 1:
        return f"it has {len(benchmark.inputs)} inputs; expected one, an image"
    if isinstance(dataset, ArraysData):
        return "its samples are arrays, ready for the model; expected a data set of images"
    if tensor.layout is None:
        return f'its input "{tensor.name}" has no layout, so it is no image'
    if not tensor.dtype.startswith("float"):
        return f'its input "{tensor.name}" is {tensor.dtype} already, not normalised floats'
    return None


def parse_resolution(text: str) -> tuple[int, int]:
    """Return height and width in pixels of "512" or "720x1280".

    Raises:
        ConfigError: it is no such text.
    """
    found = _SIZE.fullmatch(text)
    height, width = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not (0 < height <= _MOST_PIXELS and 0 < width <= _MOST_PIXELS):
        raise ConfigError(
            f'resolution: "{text}"; expected pixels, such as 512 or HEIGHTxWIDTH as in 720x1280, '
            f"1 to {_MOST_PIXELS}."
        )
    return height, width


def at_resolution(benchmark: Benchmark, resolution: str, model: Path | None = None) -> Benchmark:
    """Return the benchmark for images of another size, with synthetic samples.

    At its own size it stays as it is.

    Args:
        benchmark: its input is one image.
        resolution: see `parse_resolution`.
        model: the user's own file instead of the benchmark's; None: the benchmark's.

    Raises:
        ConfigError: its input is no image, or no model of it takes another size.
        DataError: the model file is missing or damaged.
    """
    height, width = parse_resolution(resolution)
    image = _image(benchmark)
    rows, columns = _axes(image)
    if (image.shape[rows], image.shape[columns]) == (height, width):
        return benchmark
    shape = list(image.shape)
    shape[rows], shape[columns] = height, width
    tensor = msgspec.structs.replace(image, shape=tuple(shape))
    sources: tuple[ModelSource, ...] = ()
    if model is not None:
        _check_open(model, tensor, benchmark)
    else:
        sources = tuple(_sized(source, tensor, benchmark) for source in benchmark.models)
    return _variant(benchmark, f"{height}x{width}", tensor, sources)


def in_dtype(benchmark: Benchmark, dtype: Literal["float32", "float16"]) -> Benchmark:
    """Return a benchmark whose made model has weights and input of another type.

    Raises:
        ConfigError: its model is no made one.
    """
    made = made_model(benchmark)
    if made is None:
        raise ConfigError(f"{benchmark.name}: its model is not made, so it cannot be made {dtype}.")
    if made.dtype == dtype:
        return benchmark
    tensor = benchmark.inputs[0]
    if tensor.normalize is None:  # else it is fed with pixels, whatever the model computes in
        tensor = msgspec.structs.replace(tensor, dtype=dtype)
    source = msgspec.structs.replace(made, dtype=dtype)
    return _variant(benchmark, dtype, tensor, (source,))


def made_model(benchmark: Benchmark) -> MadeModel | None:
    """Return the maker of the benchmark's only model; None: it is another kind of model."""
    if len(benchmark.models) == 1 and isinstance(benchmark.models[0], MadeModel):
        return benchmark.models[0]
    return None


def _variant(
    benchmark: Benchmark, suffix: str, tensor: InputTensor, sources: tuple[ModelSource, ...]
) -> Benchmark:
    sample = math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
    count = max(_LEAST_SAMPLES, min(benchmark.performance_sample_count, _MOST_BYTES // sample))
    changed = {
        "name": f"{benchmark.name}-{suffix}",
        "description": f"{benchmark.name} as {suffix}, synthetic samples; speed only",
        "loadgen_model": benchmark.loadgen_name,
        "mlperf": (),
        "models": sources,
        "input": tensor,
        "preprocess": (),
        "dataset": SyntheticData(count=count),
        "performance_sample_count": count,
    }
    return _changed(benchmark, changed)


def _changed(benchmark: Benchmark, changed: Mapping[str, object]) -> Benchmark:
    """Return a benchmark with other fields, checked as its file is."""
    kept = {name: getattr(benchmark, name) for name in Benchmark.__struct_fields__}
    return Benchmark(**{**kept, **changed})


def _image(benchmark: Benchmark) -> InputTensor:
    tensor = benchmark.inputs[0]
    if len(benchmark.inputs) != 1 or tensor.layout is None or len(tensor.shape) != _IMAGE_AXES:
        raise ConfigError(
            f"{benchmark.name}: its input is no image, so it has no resolution. Leave "
            "--resolution out."
        )
    return tensor


def _axes(image: InputTensor) -> tuple[int, int]:
    assert image.layout is not None, "checked by _image"
    return _AXES[image.layout]


def _sized(source: ModelSource, tensor: InputTensor, benchmark: Benchmark) -> ModelSource:
    """Return the source of a model for an input of another size."""
    height, width = (tensor.shape[axis] for axis in _axes(tensor))
    if not isinstance(source, MadeModel):
        raise ConfigError(
            f"{benchmark.name}: its model is for its own resolution, not for {height}x{width}. "
            "Give one with open height and width with --model, or choose a benchmark with a made "
            "model, such as resnet50-synthetic."
        )
    if height != width:
        raise ConfigError(
            f"{benchmark.name}: {height}x{width}; {source.maker} is made for square images only."
        )
    check_side(source, height)
    return msgspec.structs.replace(source, side=height)


def _check_open(model: Path, tensor: InputTensor, benchmark: Benchmark) -> None:
    """Refuse a model whose input has another size; only an ONNX file says so beforehand."""
    if model.suffix != ".onnx":
        return
    shape = declared_shape(model, tensor.name)
    if shape is None or len(shape) != len(tensor.shape) + 1:
        return  # the engine says what is wrong, in more words
    for found, wanted in zip(shape[1:], tensor.shape, strict=True):
        if found not in (None, wanted):
            axes = ", ".join("?" if size is None else str(size) for size in shape)
            raise ConfigError(
                f'{model}: input "{tensor.name}" is [{axes}], fixed; {benchmark.name} at this '
                f"resolution feeds {list(tensor.shape)}. Export it with open height and width."
            )
