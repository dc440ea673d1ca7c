"""A benchmark's model in another precision: converted once, and kept.

Brings together the benchmark (data) and the converters (backends). Runs no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backends.onnxruntime.precision import FORMS, Calibration, convert, graph_precision
from data.calibration import SAMPLES, of_data_set, of_list
from data.model import ResolvedModel
from sut.base.errors import ConfigError, EngineError, nearest
from sut.base.files import cache_folder, sha256_file, temporary_folder
from sut.config.prepare import prepared_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data.benchmark import Benchmark
    from data.calibration import CalibrationSamples
    from data.preprocess import SampleSet
    from sut.base.progress import Progress
    from sut.config.workload import Model, Workload

# Raise it when the same model and samples would give another file.
RECIPE = 1
# What the user may ask for, and the forms of each.
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "fp16": ("fp16",),
    "int8": ("int8-trt", "int8-ort"),
    "int8-trt": ("int8-trt",),
    "int8-ort": ("int8-ort",),
}


class Note(msgspec.Struct, frozen=True):
    """The JSON beside a converted model.

    Attributes:
        form: a key of backends.onnxruntime.precision.FORMS.
        key: hash of everything that determines the content.
        source_sha256: of the fp32 model.
        calibration: the samples, in words; None for a form that needs none.
        method: how ranges were computed; None likewise.
        onnxruntime: the version that converted it.
        sha256: of the converted model.
    """

    form: str
    key: str
    source_sha256: str
    calibration: str | None
    method: str | None
    onnxruntime: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model on disk.

    Attributes:
        path: of the ONNX file.
        note: what it was made from.
        cached: it was already on disk.
    """

    path: Path
    note: Note
    cached: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What to convert, and the samples for it.

    Attributes:
        benchmark: its data set.
        workload: with the fp32 model.
        data_dir: a data folder instead of the benchmark's own.
        calibration: a name of data.calibration.SOURCES.
        method: a name of backends.onnxruntime.precision.METHODS.
    """

    benchmark: Benchmark
    workload: Workload
    data_dir: Path | None
    calibration: str
    method: str = "minmax"

    @property
    def model(self) -> Model:
        """The fp32 model."""
        assert self.workload.model is not None, "resolved for a backend with a model"
        return self.workload.model

    def samples(self) -> SampleSet:
        """Prepare the benchmark's samples, or take them from the cache."""
        return prepared_samples(self.benchmark, self.data_dir)


def forms_of(precision: str) -> tuple[str, ...]:
    """Return the forms of a precision.

    Raises:
        ConfigError: there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(
            f'--precision: "{precision}"; expected one of {", ".join(PRECISIONS)}.'
            f"{nearest(precision, PRECISIONS)}"
        )
    return PRECISIONS[precision]


def converted_path(model: Model, form: str, cache_dir: Path | None = None) -> Path:
    """Return where the converted model of `model` is kept."""
    folder = (cache_dir or cache_folder()) / "models"
    return folder / f"{Path(model.path).stem}-{form}-{model.sha256[:8]}.onnx"


def converted(
    source: Source, form: str, cache_dir: Path | None = None, progress: Progress | None = None
) -> Converted:
    """Return the model in a form, converted now or kept from before.

    Raises:
        DataError: an image for the calibration is missing.
        EngineError: the model is not fp32, or cannot be converted.
    """
    calibration = _calibration(source) if FORMS[form].calibrated else None
    parts = (RECIPE, form, source.model.sha256, version("onnxruntime"), version("onnx"))
    used = (calibration.digest, source.method) if calibration else ()
    made = Note(
        form=form,
        key=sha256(repr((*parts, *used)).encode()).hexdigest(),
        source_sha256=source.model.sha256,
        calibration=calibration.description if calibration else None,
        method=source.method if calibration else None,
        onnxruntime=version("onnxruntime"),
    )
    path = converted_path(source.model, form, cache_dir)
    kept = _kept(path)
    if kept is not None and kept.key == made.key:
        return Converted(path, kept, cached=True)
    with temporary_folder(path.parent) as folder:
        model, note = folder / path.name, folder / "note.json"
        convert(Path(source.model.path), model, form, _samples(source, calibration), progress)
        made = msgspec.structs.replace(made, sha256=sha256_file(model))
        note.write_bytes(msgspec.json.format(msgspec.json.encode(made)))
        # The note goes first: cut off between the two, it disowns what lies there.
        note.replace(path.with_suffix(".json"))
        model.replace(path)
    return Converted(path, made, cached=False)


def _samples(source: Source, chosen: CalibrationSamples | None) -> Calibration | None:
    if chosen is None:
        return None
    return Calibration(chosen.count, chosen.read, source.method)


def _calibration(source: Source) -> CalibrationSamples:
    if source.calibration == SAMPLES:
        return of_data_set(source.samples())
    return of_list(source.benchmark, source.data_dir, source.calibration)


def in_precision(
    source: Source, precision: str, cache_dir: Path | None = None, progress: Progress | None = None
) -> Workload:
    """Return the workload for TensorRT in "fp32", "fp16" or "int8"; unchanged if it already is.

    Raises:
        EngineError: it has another precision, from which it cannot be converted.
    """
    found = graph_precision(Path(source.model.path))
    if found == precision:
        return source.workload
    form = "int8-trt" if precision == "int8" else precision
    if form not in FORMS:
        raise EngineError(
            f"{source.model.path}: is {found}; expected an {precision} model. Name one with "
            f"--model, or ask for --precision {found}."
        )
    made = converted(source, form, cache_dir, progress)
    origin = f"{source.model.origin}, made {form}"
    return source.workload.with_model(ResolvedModel(made.path, made.note.sha256, origin))


def _kept(path: Path) -> Note | None:
    """Return the note of an intact converted model; None if there is none."""
    try:
        note = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError):
        return None
    return note if path.is_file() and sha256_file(path) == note.sha256 else None
