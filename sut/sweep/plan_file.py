"""The YAML file of a study: what it may say, and the variants that it lists.

Reads one file; resolves no benchmark, model or device.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from data.schema import Name
from data.strict_yaml import Positive, PositiveFloat, StrictStruct, Text, load_strict
from sut.base.errors import ConfigError
from sut.sweep.columns import COLUMNS
from sut.sweep.points import integers
from sut.sweep.steady import Rule

Plain = str | int | float | bool
NonNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, le=1)]
Format = Literal["onnx", "torchscript"]
# Lists make a variant for each value; an empty one would make none.
Texts = Annotated[tuple[Text, ...], Meta(min_length=1)]
Formats = Annotated[tuple[Format, ...], Meta(min_length=1)]
Numbers = Annotated[tuple[Positive, ...], Meta(min_length=1)]
Plains = Annotated[tuple[Plain, ...], Meta(min_length=1)]
Package = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_RULE = Rule()
MOST = 1_000  # variants
ANY = "*"  # of outputs: every one that is not named


class Tolerance(StrictStruct, frozen=True):
    """How far an output may be from the reference's: atol + rtol times the reference."""

    atol: NonNegative = 0.0
    rtol: NonNegative = 0.0


# By the name of an output, or ANY.
Tolerances = Mapping[Text, Tolerance]


class Verify(StrictStruct, frozen=True):
    """How answers are compared with those of the benchmark's model in ONNX Runtime on the CPU.

    Attributes:
        samples: evenly spread over the data set.
        tolerance: by precision; a variant may have its own.
    """

    samples: Annotated[int, Meta(ge=2)] = 64
    tolerance: Mapping[Text, Tolerances] = {}


class Gate(StrictStruct, frozen=True):
    """What a variant must reach to be measured; all that is given.

    Attributes:
        least_snr_db: of the first output; see sut.models.verification.signal_to_noise_db.
        least_same: share of the samples with the same answer as the reference.
        least_score: accuracy, over that of the reference.
    """

    least_snr_db: float | None = None
    least_same: Share | None = None
    least_score: Share | None = None

    def __post_init__(self) -> None:
        """Refuse a gate that lets all pass."""
        if self.least_snr_db is None and self.least_same is None and self.least_score is None:
            raise ValueError("no limit; expected least_snr_db, least_same or least_score")


class Offline(StrictStruct, frozen=True):
    """Batches, one in flight.

    Attributes:
        batches: a range as in `sut sweep --batches`.
        options: of the backend, for this load alone.
    """

    batches: Text | Positive = "1:256:x2"
    options: Mapping[Text, Plain] = {}

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        _read_range("batches", self.batches)


class Online(StrictStruct, frozen=True):
    """A closed loop.

    Attributes:
        concurrency: a range as in `sut sweep --concurrency`.
        request_batch: samples of a request.
        options: of the backend, for this load alone.
    """

    concurrency: Text | Positive = "1:64:x2"
    request_batch: Positive = 1
    options: Mapping[Text, Plain] = {}

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        _read_range("concurrency", self.concurrency)


class Window(StrictStruct, frozen=True):
    """How long a point is measured; see sut.sweep.steady.Rule."""

    turn_overs: PositiveFloat = _RULE.turn_overs
    spread: PositiveFloat = _RULE.spread
    least_s: NonNegative = _RULE.least_s
    limit_s: PositiveFloat = _RULE.limit_s


class Variants(StrictStruct, frozen=True, kw_only=True):
    """One variant, or one for each combination where a key has a list.

    Attributes:
        name: without one, what it is: its backend, precision and so on.
        needs: a Python package; where it is not installed, the variant is left out.
        benchmark: instead of the study's.
        system: likewise.
        model: a model file instead of the benchmark's; relative to the plan.
        backend: of BACKENDS; None: the system's.
        precision: the model as it is, or made fp16 or int8, as in `sut sweep --precision`.
        format: "torchscript" makes a .pt file of the ONNX model, for the backend torch.
        devices: each text a set of devices, with commas.
        instances: engines on each device.
        slots: batches in flight per worker.
        workers: where engines run.
        max_batch_size: samples, of the online load.
        max_queue_delay_us: of the online load.
        options: of the backend.
        tolerance: instead of the study's for its precision.
    """

    name: Text | None = None
    needs: Package | None = None
    benchmark: Text | Texts | None = None
    system: Text | None = None
    model: Text | None = None
    backend: Text | Texts | None = None
    precision: Text | Texts = "fp32"
    format: Format | Formats = "onnx"
    devices: Text | Texts | None = None
    instances: Positive | Numbers | None = None
    slots: Positive | Numbers | None = None
    workers: Text | Texts | None = None
    max_batch_size: Positive | Numbers | None = None
    max_queue_delay_us: Annotated[int, Meta(ge=0)] | Literal["late"] | None = None
    options: Mapping[Text, Plain | Plains] = {}
    tolerance: Tolerances | None = None


class StudyPlan(StrictStruct, frozen=True, kw_only=True):
    """A plan.

    Attributes:
        name: of the study.
        description: for people.
        benchmark: a name, or a file relative to the plan.
        system: None: the default.
        columns: of the tables, as in `sut sweep --columns`.
        verify: against the reference.
        gate: None only for devices without a model.
        offline: None: not measured.
        online: None: not measured.
        window: how long a point is measured.
        variants: at least one.
    """

    name: Name
    description: str = ""
    benchmark: Text
    system: Text | None = None
    columns: Literal[COLUMNS] = "own"  # type: ignore[valid-type]  # their names are data
    verify: Verify = Verify()
    gate: Gate | None = None
    offline: Offline | None = None
    online: Online | None = None
    window: Window = Window()
    variants: Annotated[tuple[Variants, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse a study that measures nothing."""
        if self.offline is None and self.online is None:
            raise ValueError("nothing to measure; expected `offline` or `online`")

    @property
    def rule(self) -> Rule:
        """How long a point is measured."""
        return Rule(**msgspec.structs.asdict(self.window))


@dataclass(frozen=True, slots=True)
class Variant:
    """One of a plan's, with one value for every key.

    Attributes:
        name: in tables.
        axes: settings by axis, as sut.sweep.plan.Sweep takes them.
        benchmark: a name or a path.
        system: None: the default.
        model: a file, or None.
        format: of the model file.
        needs: a Python package, or None.
        tolerance: by output; None: the plan has none for its precision.
    """

    name: str
    axes: Mapping[str, Plain]
    benchmark: str
    system: str | None
    model: Path | None
    format: str
    needs: str | None
    tolerance: Tolerances | None

    @property
    def precision(self) -> str:
        """As the plan says it."""
        return str(self.axes["precision"])


# Keys of Variants that may have several values, in the order of a name; those that are axes of a
# sweep have the same name there.
_AXES = (
    "backend", "precision", "devices", "instances", "slots", "workers", "max_batch_size",
    "max_queue_delay_us",
)  # fmt: skip
_LISTS = ("benchmark", "format", *_AXES)


def read_plan(path: Path) -> tuple[StudyPlan, tuple[Variant, ...]]:
    """Read a plan and list its variants.

    Raises:
        ConfigError: a mistake, in one line with its place.
    """
    plan = load_strict(path, StudyPlan)
    count = sum(map(_count, plan.variants))
    if count > MOST:
        raise ConfigError(f"{path}: variants: {count:,} of them; expected at most {MOST:,}.")
    found = [variant for group in plan.variants for variant in _expanded(group, plan, path)]
    names = [variant.name for variant in found]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ConfigError(
            f'{path}: variants: two are named "{repeated}"; expected different names. Give `name` '
            "to one of them."
        )
    return plan, tuple(found)


def _count(group: Variants) -> int:
    lists = [*(getattr(group, key) for key in _LISTS), *group.options.values()]
    return math.prod(len(_values(value)) for value in lists)


def _expanded(group: Variants, plan: StudyPlan, path: Path) -> list[Variant]:
    values = {key: _values(getattr(group, key)) for key in _LISTS}
    options = {key: _values(value) for key, value in group.options.items()}
    shown = [key for key, several in {**values, **options}.items() if len(several) > 1]
    found = []
    for combination in itertools.product(*values.values(), *options.values()):
        chosen = dict(zip((*values, *options), combination, strict=True))
        axes = {key: v for key in (*_AXES, *options) if (v := chosen[key]) is not None}
        precision = str(axes["precision"])
        usual = plan.verify.tolerance.get(precision)
        found.append(
            Variant(
                name=_name(group, chosen, shown),
                axes=axes,
                benchmark=_beside(str(chosen["benchmark"] or plan.benchmark), path),
                system=group.system or plan.system,
                model=None if group.model is None else path.parent / group.model,
                format=str(chosen["format"]),
                needs=group.needs,
                tolerance=usual if group.tolerance is None else group.tolerance,
            )
        )
    return found


def _name(group: Variants, chosen: Mapping[str, Plain | None], shown: list[str]) -> str:
    """Return a variant's name: the group's own, or its backend and precision; then what varies."""
    first = [group.name] if group.name else [
        str(v) for key in ("backend", "precision") if (v := chosen[key]) is not None
    ]  # fmt: skip
    others = [key for key in shown if group.name or key not in ("backend", "precision")]
    return " ".join([*first, *(_part(key, chosen[key]) for key in others)])


def _part(key: str, value: Plain | None) -> str:
    return str(value) if key in _LISTS and isinstance(value, str) else f"{key} {value}"


def _values(value: object) -> tuple[Plain | None, ...]:
    return value if isinstance(value, tuple) else (value,)


def _beside(benchmark: str, path: Path) -> str:
    """Return a benchmark's name, or its file, which starts at the plan's folder."""
    beside = str(path.parent / benchmark)
    return beside if os.path.isfile(beside) else benchmark  # also where it is too long for a name


def _read_range(key: str, text: str | int) -> None:
    try:
        integers(key, str(text))
    except ConfigError as error:
        raise ValueError(str(error).rstrip(".")) from error


def as_settings(plan: StudyPlan) -> dict[str, object]:
    """Return what must not change for a study to continue."""
    return {"plan": msgspec.to_builtins(plan)}
