"""What the process of one row does with its engine: times it, lets it answer, and looks inside.

sut.sweep.tries.attempt calls `act`. The timing comes first, so that nothing else disturbs it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from backends.base import WITHOUT_MODEL, MemoryEngine
from backends.layers import Layer, executed_layers
from data.tasks import judge_of_records, records_of
from sut.base.errors import EngineError
from sut.base.resident import resident
from sut.serve.samples import SampleSource
from sut.sweep.devices.timing import Timed, time_batches
from sut.sweep.steady import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Engine
    from sut.config.workload import Workload
    from sut.sweep.tries.attempt import Attempt

MODULE = "sut.sweep.devices.act"


@dataclass(frozen=True, slots=True)
class Errand:
    """Arguments of the act.

    Attributes:
        batch: samples.
        rows: indices of the samples that are loaded.
        rule: how long batches are timed.
        answers: the first so many of `rows` are answered and their records returned; 0: none.
        layers: whether to ask which layers ran.
    """

    batch: int
    rows: tuple[int, ...]
    rule: Rule
    answers: int = 0
    layers: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What the process found.

    Attributes:
        timed: see sut.sweep.devices.timing.
        memory_bytes: what the engine and its batches added to the process, at most; on a GPU its
            host part alone.
        records: of the first samples, as LoadGen would log them, in base64.
        layers: that ran; None: the backend cannot tell, or was not asked.
        layers_problem: why they are not known; empty: they are, or were not asked for.
    """

    timed: Timed
    memory_bytes: int
    records: tuple[str, ...] = ()
    layers: tuple[Layer, ...] | None = None
    layers_problem: str = ""

    def answers(self) -> list[bytes]:
        """Return the records."""
        return [b64decode(record) for record in self.records]


def act(attempt: Attempt) -> dict[str, Any]:
    """Time the engine; see Answered."""
    request = attempt.request
    errand = msgspec.convert(request.arguments, Errand)
    engine, workload = attempt.engine, request.workload
    source = SampleSource.of(workload, errand.rows)
    loaded = source.read(engine.memory if isinstance(engine, MemoryEngine) else None)
    engine.bind(loaded.arrays)
    attempt.at_barrier()
    timed = time_batches(engine, len(errand.rows), errand.batch, errand.rule)
    now = resident()
    assert now is not None, "this process lives"
    peak = max(now.peak, int(attempt.opening["peak_bytes"]))
    memory = max(peak - int(attempt.opening["before_bytes"]), 0)
    records = _records(engine, workload, errand) if errand.answers else []
    layers, problem = None, ""
    if errand.layers and request.backend not in WITHOUT_MODEL:
        spec = workload.engine(
            request.backend, request.max_batch_size, request.device, request.options
        )
        try:
            layers = executed_layers(replace(spec, cores=request.cores), errand.batch)
        except EngineError as error:
            problem = str(error)
    found = Answered(
        timed=timed,
        memory_bytes=memory,
        records=tuple(b64encode(record).decode() for record in records),
        layers=None if layers is None else tuple(layers),
        layers_problem=problem,
    )
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _records(engine: Engine, workload: Workload, errand: Errand) -> Sequence[bytes]:
    """Return the records of the first samples; none where nothing can be told from them."""
    postprocess, samples = workload.postprocess, workload.samples
    if judge_of_records(postprocess) is None or samples is None or not samples.paths:
        return []
    make = records_of(postprocess, samples.frames)
    found: list[bytes] = []
    for first in range(0, errand.answers, errand.batch):
        rows = range(first, min(first + errand.batch, errand.answers))
        made = make(engine.infer(rows), [errand.rows[row] for row in rows])
        found += [np.ascontiguousarray(record).tobytes() for record in made]
    return found
