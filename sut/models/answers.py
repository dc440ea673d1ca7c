"""What an engine answers to some samples, in a process of its own: an engine may take it down.

`python -m sut.models.answers` reads a request; see sut.base.subprocess_call. Judges nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from backends.base import open_engine
from data.tasks import judge_of_records, records_of
from sut.base.files import temporary_folder
from sut.base.subprocess_call import answer_request, run_module
from sut.config.workload import Workload  # msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

_FILE = "outputs.npz"


@dataclass(frozen=True, slots=True)
class Opening:
    """Which engine to open, as plain data.

    Attributes:
        backend: a key of backends.base.BACKENDS.
        device: "cpu", or another name that the backend understands.
        max_batch_size: for which it is opened; batches of one are run.
        options: of the backend.
    """

    backend: str
    device: str = "cpu"
    max_batch_size: int = 1
    options: dict[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What to run.

    Attributes:
        workload: the model and its prepared samples.
        opening: of the engine.
        rows: of the samples.
        out: the file for the outputs.
    """

    workload: Workload
    opening: Opening
    rows: tuple[int, ...]
    out: str


class Reply(msgspec.Struct, frozen=True):
    """What came of it, beside the outputs.

    Attributes:
        names: of the outputs, in order.
        facts: of the engine, as text.
        records: one a row, as LoadGen would log them; empty where nothing can be told from them.
    """

    names: tuple[str, ...]
    facts: dict[str, str]
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """What an engine answered.

    Attributes:
        outputs: by name, the first one first, [n, ...] each.
        facts: of the engine.
        records: see Reply.
    """

    outputs: dict[str, Array]
    facts: dict[str, str]
    records: tuple[bytes, ...]


def ask(opening: Opening, workload: Workload, rows: Sequence[int], scratch: Path) -> Answers:
    """Run rows of the samples through an engine, one at a time.

    Args:
        opening: of the engine.
        workload: the model and its prepared samples.
        rows: of the samples.
        scratch: a folder for files that are gone afterwards.

    Raises:
        SutError: the engine could not be opened, failed, or took its process down.
    """
    with temporary_folder(scratch) as folder:
        out = folder / _FILE
        request = Request(workload, opening, tuple(rows), str(out.absolute()))
        text = run_module(
            "sut.models.answers", msgspec.json.encode(request), f"{opening.backend}: the comparison"
        )
        reply = msgspec.json.decode(text, type=Reply)
        with np.load(out) as held:
            outputs = {name: held[str(k)] for k, name in enumerate(reply.names)}
    return Answers(outputs, reply.facts, reply.records)


def _answer(request: Request) -> Reply:
    workload, opening = request.workload, request.opening
    assert workload.samples is not None, "prepared before"
    postprocess, samples = workload.postprocess, workload.samples
    tells = postprocess.comparable or judge_of_records(postprocess) is not None
    make = records_of(postprocess, samples.frames) if tells else None
    arrays = [np.load(path, mmap_mode="r") for path in samples.paths]
    spec = workload.engine(opening.backend, opening.max_batch_size, opening.device, opening.options)
    engine = open_engine(replace(spec, postprocess={}))  # the outputs are compared, not boxes
    try:
        names = [tensor.name for tensor in workload.inputs]
        engine.bind(dict(zip(names, arrays, strict=True)))
        found: list[list[Array]] = [[] for _ in engine.outputs]
        records = []
        for row in request.rows:
            outputs = engine.infer([row])
            for kept, output in zip(found, outputs, strict=True):
                kept.append(np.array(output))  # the engine may reuse its buffer
            if make is not None:
                records.append(np.asarray(make(outputs, [row])[0]).tobytes())
        stacked = {str(k): np.concatenate(kept) for k, kept in enumerate(found)}
        np.savez(Path(request.out), allow_pickle=False, **stacked)
        facts = {name: str(value) for name, value in engine.facts.items()}
        return Reply(tuple(tensor.name for tensor in engine.outputs), facts, tuple(records))
    finally:
        engine.close()


if __name__ == "__main__":
    sys.exit(answer_request(Request, _answer))
