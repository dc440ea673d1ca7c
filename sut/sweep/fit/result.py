"""What `sut fit` found, as it is written to fit.json: a row for each place. Only data and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import DataError
from sut.sweep.fit.memory_model import MemoryModel, MemoryPoint, MemorySizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.sweep.fit.trier import Tried

FIT_FILE = "fit.json"
# Grows when a key of fit.json changes its meaning.
SCHEMA = 1


class FitRow(msgspec.Struct, frozen=True, kw_only=True):
    """One place.

    Attributes:
        point: where it is, by axis.
        largest_batch: that fits, tried; 0: not even one sample does. None: see `problem`.
        bound: why no larger one fits, in a line; empty: none larger was asked for.
        fails_at: the smallest batch known not to fit; None: none.
        needed_bytes: what the largest batch took, all processes together.
        limit_bytes: what was there.
        weights_bytes: of the model, for one process.
        context_bytes: of one process with an open engine, without weights; fitted.
        activation_bytes_per_sample: fitted.
        io_bytes_per_sample: inputs and outputs.
        model_error: the largest relative error of a point predicted from others.
        reserve: share of the limit that was asked to stay free.
        largest_batch_with_reserve: likewise tried, with so much less memory; None: not asked for.
        samples_per_s: with the largest batch; a glance, not a measurement.
        engine_bytes: what an engine on a GPU says of itself with the largest batch, in one process;
            see backends.base.WeighedEngine.
        precision: in which the engine says that it ran.
        process: how the processes began whose batches fitted: "anew" or "forked"; see WarmStart.
        tries: how many.
        seconds: they took.
        marks: what is doubtful, a sentence each.
        problem: why there is no answer; None if there is one.
        simulated: no real engine ran.
    """

    point: dict[str, str | int | float]
    largest_batch: int | None = None
    bound: str = ""
    fails_at: int | None = None
    needed_bytes: int | None = None
    limit_bytes: int | None = None
    weights_bytes: int | None = None
    context_bytes: float | None = None
    activation_bytes_per_sample: float | None = None
    io_bytes_per_sample: int | None = None
    model_error: float | None = None
    reserve: float = 0.0
    largest_batch_with_reserve: int | None = None
    samples_per_s: float | None = None
    engine_bytes: dict[str, int] = {}
    precision: str = ""
    process: str = ""
    tries: int = 0
    seconds: float = 0.0
    marks: tuple[str, ...] = ()
    problem: str | None = None
    simulated: bool = False


class ModelPart(msgspec.Struct, frozen=True, kw_only=True):
    """The model of memory of all places that differ in nothing but the processes.

    Attributes:
        point: where they are.
        sizes: see MemorySizes.
        points: what was measured.
    """

    point: dict[str, str | int | float]
    sizes: MemorySizes
    points: tuple[MemoryPoint, ...]


class FitResult(msgspec.Struct, frozen=True, kw_only=True):
    """All of fit.json.

    Attributes:
        schema: see SCHEMA.
        title: a line for people.
        command: repeats it.
        started: ISO 8601 time.
        limit: what batches must fit into, in words.
        configuration: backend, device, slots and options, by name.
        identity: hashes by what they identify.
        environment: machine and versions, by name.
        samples: where they came from.
        rows: one a place.
        models: of memory; `fit_memory(points, sizes)` makes one again.
    """

    schema: int = SCHEMA
    title: str
    command: str
    started: str
    limit: str
    configuration: dict[str, str]
    identity: dict[str, str]
    environment: dict[str, str]
    samples: str
    rows: tuple[FitRow, ...]
    models: tuple[ModelPart, ...]


def encode(result: FitResult) -> bytes:
    """Return fit.json."""
    return msgspec.json.format(msgspec.json.encode(result)) + b"\n"


def read_fit(text: bytes, where: str) -> FitResult:
    """Return the result in a fit.json.

    Args:
        text: of the file.
        where: the file, for messages.

    Raises:
        DataError: it is no such file, or of a newer program.
    """
    try:
        result = msgspec.json.decode(text, type=FitResult)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{where}: {error}; expected what `sut fit` wrote.") from error
    if result.schema > SCHEMA:
        raise DataError(
            f"{where}: schema {result.schema}; this program knows up to {SCHEMA}. Update it."
        )
    return result


def with_model(row: FitRow, model: MemoryModel | None) -> FitRow:
    """Return a row with what a model of memory says of its parts."""
    if model is None:
        return row
    return msgspec.structs.replace(
        row,
        weights_bytes=model.sizes.weights,
        context_bytes=model.context_bytes,
        activation_bytes_per_sample=model.activation_bytes,
        io_bytes_per_sample=model.sizes.io,
        model_error=model.error,
    )


def leaks(tries: Sequence[Tried]) -> tuple[str, ...]:
    """Return a mark for the largest batch if memory still grows from batch to batch."""
    last = max(tries, key=lambda tried: tried.batch, default=None)
    if last is None or not last.needed_bytes:
        return ()
    grown = sum(int(one.get("grown_bytes_per_batch", 0)) for one in last.figures)
    if grown < max(_LEAST_LEAK_BYTES, _LEAK_SHARE * last.needed_bytes):
        return ()
    return (f"memory still grows by {grown / 1e6:,.1f} MB a batch of {last.batch}",)


_LEAST_LEAK_BYTES = 8_000_000
_LEAK_SHARE = 0.01
