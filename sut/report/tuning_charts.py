"""The charts of a tuning report: S(b), throughput, latency by load, runs in order.

Only draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.report.bars import heat
from sut.report.svg import Axes, Mark, Series, chart

if TYPE_CHECKING:
    from sut.report.tuning_story import Story
    from sut.serve.service_times import Measured, Point
    from sut.tuner.job import Candidate, Variant
    from sut.tuner.messages import Answer, Outcome

MS = 1e6
_MANY_WORKERS = 6
# Where late closing, which has no delay, is shown among the delays, in ms.
LATE_ROW = -1.0


def pictures(story: Story) -> list[tuple[str, str]]:
    """Return (picture, caption) of each."""
    answer = story.answer
    found = [
        (
            _service(story),
            "S(b), the service time of a batch of b samples, with the spread between rounds.",
        ),
        (_throughput(story), "All devices with full batches; the knee is within 1 % of the peak."),
    ]
    if answer is not None and answer.curve.measured and story.job.bounds:
        found.append((_latency(story, answer), "Latency against load, predicted and measured."))
    if answer is not None and story.job.rules.has_bound:
        found.append(
            (
                _surface(answer),
                "Highest rate within the bound by batch and queue delay. White is 10 % below the "
                "best; the ring marks the chosen setting.",
            )
        )
    found.append((_trials(story), "Each run by LoadGen's verdict; the table has their settings."))
    return found


def _service(story: Story) -> str:
    lines = []
    for variant, measured in story.measured:
        for name, points in _different(variant, measured):
            places = [(float(size), p.median_ns / MS) for size, p in points.items()]
            errors = [(p.low_ns / MS, p.high_ns / MS) for p in points.values()]
            lines.append(Series(name, places, "both", errors))
    axes = Axes("batch, samples", "time, ms", "log", "log")
    return chart("Time of one batch by batch size", axes, lines)


def _different(variant: Variant, measured: Measured) -> list[tuple[str, dict[int, Point]]]:
    """Return (name, points) of the workers; only the first of equal ones."""
    suffix = f", {variant}" if str(variant) else ""
    if len(measured.workers) > 1 and not measured.is_uneven:
        return [(f"{len(measured.workers)} equal workers{suffix}", measured.workers[0][1])]
    return [(f"device {d}{suffix}", points) for d, points in measured.workers[:_MANY_WORKERS]]


def _throughput(story: Story) -> str:
    lines: list[Series] = []
    marks: list[Mark] = []
    for variant, measured in story.measured:
        sizes = sorted({size for _, points in measured.workers for size in points})
        whole = [s for s in sizes if all(s in points for _, points in measured.workers)]
        places = [
            (float(s), sum(s / points[s].median_ns * 1e9 for _, points in measured.workers))
            for s in whole
        ]
        lines.append(Series(str(variant) or "all devices", places, "both"))
        if places and not marks:
            best = max(rate for _, rate in places)
            knee = next(size for size, rate in places if rate >= 0.99 * best)
            marks.append(Mark("x", knee, f"knee {knee:g}", is_limit=False))
    if story.answer is not None:
        batch = story.answer.candidate.max_batch_size
        marks.append(Mark("x", batch, f"chosen {batch}"))
    axes = Axes("batch, samples", "samples/s", "log", y_from_zero=True)
    return chart("Throughput by batch size", axes, lines, marks)


def _latency(story: Story, answer: Answer) -> str:
    bound = story.job.bound
    curve = answer.curve
    lines = [
        Series("predicted", [(q, ns / MS) for q, ns in curve.predicted], dashed=True),
        Series("corrected by runs", [(q, ns / MS) for q, ns in curve.corrected]),
    ]
    for purpose, colour in (("probe", 5), ("confirm", 3)):
        runs = [(q, ns / MS) for q, ns, p in curve.measured if p == purpose]
        lines.append(Series(f"{purpose} runs", runs, "points", colour=colour))
    marks = [Mark("y", bound.limit_ns / MS, f"bound {bound.limit_ns / MS:g} ms")]
    if answer.target_qps is not None:
        marks.append(Mark("x", answer.target_qps, "chosen", is_limit=False))
    axes = Axes("queries/s", f"{bound.name}, ms", y_top=2.5 * bound.limit_ns / MS)
    return chart(f"{bound.name} against load", axes, lines, marks)


def _surface(answer: Answer) -> str:
    chosen = answer.candidate
    shown: dict[tuple[float, float], tuple[float, str]] = {}
    for p in answer.predictions:
        c = p.candidate
        place = _place(c)
        if p.first_qps > shown.get(place, (0.0, ""))[0]:
            shown[place] = p.first_qps, f"{c}: {p.first_qps:,.0f}/s, rough"
    cells = [(x, y, value, word) for (x, y), (value, word) in shown.items()]
    axes = Axes("batch, samples", f"queue delay, ms ({LATE_ROW:g}: late closing)", "log")
    return heat("Highest rate by batch and queue delay", axes, cells, _place(chosen))


def _place(candidate: Candidate) -> tuple[float, float]:
    """Return where a candidate is in the picture of batches and delays."""
    delay_us = candidate.max_queue_delay_us
    row = LATE_ROW if isinstance(delay_us, str) else delay_us / 1e3
    return float(candidate.max_batch_size), row


def _trials(story: Story) -> str:
    job = story.job
    name = job.bounds[0].name if job.bounds else ""

    def height(run: Outcome) -> float:
        if name:
            return run.latency_ns[name] / MS
        return run.metric if job.is_for_throughput else run.metric / MS

    lines = []
    for text, colour, wanted in (("VALID", 3, True), ("INVALID", 2, False)):
        chosen = [(k, t, r) for k, (t, r) in enumerate(story.trials, start=1) if r.valid == wanted]
        places = [(float(k), height(run)) for k, _, run in chosen]
        words = [f"{k}: {trial.purpose} {trial.candidate}" for k, trial, _ in chosen]
        lines.append(Series(text, places, "points", labels=words, colour=colour))
    marks: list[Mark] = []
    top = None
    if name:
        limit_ms = job.bound.limit_ns / MS
        marks.append(Mark("y", limit_ms, f"bound {limit_ms:g} ms"))
        top = 2.5 * limit_ms
    unit = f"{name}, ms" if name else "samples/s" if job.is_for_throughput else "ms"
    return chart("Runs in order", Axes("trial", unit, y_top=top, y_from_zero=True), lines, marks)
