"""Compares the answers and the speed of a converted model with the fp32 model, in ONNX Runtime.

Does not use LoadGen: a comparison takes seconds, and is not a benchmark result.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backends.base import open_engine
from backends.onnxruntime.precision import FORMS
from data.tasks import judge_of_records, records_of
from sut.serve.workers.finite import not_finite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, Engine, OptionValue
    from data.tasks.base import FrameFile, Label, Postprocess, Records, Score
    from sut.base.progress import Progress
    from sut.config.workload import Workload
    from sut.models.precision import Source

TIMINGS = 100  # of each model, for a median
FP32 = "fp32"
ON_CPU = (FP32, "int8-ort")  # forms for CPUs; the time of others on a CPU means nothing


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one model answers.

    Attributes:
        form: "fp32", or a key of FORMS.
        size_bytes: of its file.
        n: samples that were run.
        score: of the answers; None without labels, or if nothing here can judge them.
        same: samples with the same answer as the fp32 model; None if answers are numbers, which
            differ a little in every precision.
        snr_db: signal-to-noise ratio of the first output against fp32, in dB; None for fp32 itself,
            and where an output is not a number.
        latency_ms: median of a batch of one on one thread of ONNX Runtime, alternating with the
            fp32 model; None if the form is not meant for CPUs.
        not_finite: samples with NaN or infinity in the first output.
    """

    form: str
    size_bytes: int
    n: int
    score: Score | None
    same: int | None
    snr_db: float | None
    latency_ms: float | None
    not_finite: int = 0


def compare(
    source: Source, models: Mapping[str, Path], count: int, progress: Progress | None = None
) -> list[Comparison]:
    """Run evenly spread samples through the fp32 model and `models`, by form.

    Args:
        source: the fp32 model and the samples.
        models: the converted ones, by form.
        count: the most samples to run.
        progress: called with (done, all) in samples.

    Raises:
        EngineError: ONNX Runtime refuses a model.
    """
    samples = source.samples()
    spread = np.linspace(0, samples.count - 1, min(count, samples.count)).astype(int)
    rows = np.unique(spread).tolist()
    paths = {FP32: Path(source.model.path), **models}
    with ExitStack() as opened:
        engines = {}
        for form, path in paths.items():
            engines[form] = _open(source.workload, form, path)
            opened.callback(engines[form].close)
            engines[form].bind(samples.open())
        make = _records(source.benchmark.postprocess, samples.frames)
        answers = _run(engines, rows, make, progress)
        latency = _latency({form: engines[form] for form in engines if form in ON_CPU}, rows)
    judge = _Judge(source.benchmark.postprocess, samples.labels, rows, answers[FP32])
    return [
        judge.comparison(form, answers[form], path.stat().st_size, latency.get(form))
        for form, path in paths.items()
    ]


def _open(workload: Workload, form: str, path: Path) -> Engine:
    options: dict[str, OptionValue] = {"intra_op_threads": 1}
    if form in FORMS:
        options |= FORMS[form].options
    spec = workload.engine("onnxruntime", 1, options=options)
    return open_engine(replace(spec, model_path=str(path)))


@dataclass(frozen=True, slots=True)
class _Found:
    """What one engine answered to the samples that were run.

    Attributes:
        first: its first output, [n, ...].
        records: as LoadGen would log them; empty where nothing can be told from them.
    """

    first: Array
    records: Sequence[bytes]


def _records(postprocess: Postprocess, frames: FrameFile | None) -> Records | None:
    """Return what makes records; None where nothing can be told from them."""
    tells = postprocess.comparable or judge_of_records(postprocess) is not None
    return records_of(postprocess, frames) if tells else None


def _run(
    engines: Mapping[str, Engine],
    rows: Sequence[int],
    make: Records | None,
    progress: Progress | None,
) -> dict[str, _Found]:
    """Run the rows through every engine, one at a time. It also warms them up."""
    first: dict[str, list[Array]] = {form: [] for form in engines}
    records: dict[str, list[bytes]] = {form: [] for form in engines}
    for done, row in enumerate(rows, start=1):
        for form, engine in engines.items():
            outputs = engine.infer([row])
            first[form].append(outputs[0].copy())
            if make is not None:
                records[form].append(make(outputs, [row])[0].tobytes())
        if progress:
            progress(done, len(rows))
    return {form: _Found(np.concatenate(first[form]), records[form]) for form in engines}


def _latency(engines: Mapping[str, Engine], rows: Sequence[int]) -> dict[str, float]:
    """Return the median time of a batch of one in ms, alternating between the engines."""
    times: dict[str, list[float]] = {form: [] for form in engines}
    for row in islice(cycle(rows), TIMINGS):
        for form, engine in engines.items():
            started_s = time.perf_counter()
            engine.infer([row])
            times[form].append(time.perf_counter() - started_s)
    return {form: statistics.median(found) * 1e3 for form, found in times.items()}


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges answers to `rows` of the samples by their labels and by the fp32 answers."""

    postprocess: Postprocess
    labels: Sequence[Label] | None
    rows: Sequence[int]
    exact: _Found

    def comparison(
        self, form: str, found: _Found, size_bytes: int, latency_ms: float | None
    ) -> Comparison:
        same = None
        if self.postprocess.comparable:
            pairs = zip(found.records, self.exact.records, strict=True)
            same = sum(one == other for one, other in pairs)
        bad = not_finite(found.first)
        comparable = form != FP32 and not bad and not not_finite(self.exact.first)
        snr_db = signal_to_noise_db(self.exact.first, found.first) if comparable else None
        score = self._score(found, form)
        return Comparison(
            form=form,
            size_bytes=size_bytes,
            n=len(self.rows),
            score=score,
            same=same,
            snr_db=snr_db,
            latency_ms=latency_ms,
            not_finite=bad,
        )

    def _score(self, found: _Found, form: str) -> Score | None:
        judge = judge_of_records(self.postprocess)
        if judge is None or self.labels is None:
            return None
        answers = {
            row: judge.read_answer(record, f"{form}, sample {row}")
            for row, record in zip(self.rows, found.records, strict=True)
        }
        return judge.score(answers, self.labels)


def signal_to_noise_db(exact: Array, found: Array) -> float:
    """Return 10 log10 of the power of `exact` over that of the difference; inf without one."""
    signal = np.square(exact.astype(np.float64)).sum()
    noise = np.square(found.astype(np.float64) - exact.astype(np.float64)).sum()
    return float(10 * np.log10(signal / noise)) if noise else float("inf")
