"""The report of a tuning: report.html, report.json, trials.csv, summary.json.

Says why the answer is what it is: S(b), the knee, what was predicted and measured, what binds.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sut.record.result import to_dict
from sut.record.run_folder import SUMMARY_FILE, read_result
from sut.report import page
from sut.report.svg import COLOURS, Axes, Mark, Series, chart, heat
from sut.serve.service_times import Measured
from sut.tuner import constraints
from sut.tuner.messages import Outcome, Trial
from sut.tuner.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.serve.service_times import Point
    from sut.tuner.job import Job, Variant
    from sut.tuner.messages import Answer, Ask, Reply

    Summary = dict[str, object]

PAGE, DATA, TRIALS = "report.html", "report.json", "trials.csv"
MS = 1e6
# What every run measures and a constraint may name; and what some devices tell beside it.
FIGURES = (*constraints.LATENCIES, "throughput", "batch", "busy")
DEVICE_FIGURES = ("power", "mem")
_HEADER = (
    "trial", "purpose", "setting", "target /s", "seconds", "samples/s", "p50 ms", "p90 ms",
    "p99 ms", "late", "batch", "result", "folder",
)  # fmt: skip
_LEFT = (1, 2, 11, 12)
_MANY_WORKERS = 6
_SHOWN_PREDICTIONS = 25


@dataclass(frozen=True, slots=True)
class Story:
    """All that a report tells.

    Attributes:
        title: what was tuned.
        command: that began it.
        job: what was asked for.
        plan: the resolved settings.
        entries: questions and answers in order.
        answer: None when it did not come to an end.
        stopped: why not.
    """

    title: str
    command: str
    job: Job
    plan: Plan
    entries: Sequence[tuple[Ask, Reply]]
    answer: Answer | None
    stopped: str = ""

    @property
    def trials(self) -> list[tuple[Trial, Outcome]]:
        """The runs in order."""
        return [(a, r) for a, r in self.entries if isinstance(a, Trial) and isinstance(r, Outcome)]

    @property
    def measured(self) -> list[tuple[Variant, Measured]]:
        """S(b) by variant."""
        return [
            (a.variant, r)
            for a, r in self.entries
            if not isinstance(a, Trial) and isinstance(r, Measured)
        ]


def write(folder: Path, story: Story) -> Summary:
    """Write all files into the tuning's folder; return what is in summary.json."""
    (folder / PAGE).write_text(_html(story), encoding="utf-8")
    _write_csv(folder / TRIALS, story)
    summary = _summary(folder, story)
    data = {
        "title": story.title,
        "command": story.command,
        "stopped": story.stopped or None,
        "job": msgspec.to_builtins(story.job),
        "answer": None
        if story.answer is None
        else msgspec.to_builtins(story.answer, str_keys=True),
        "entries": [msgspec.to_builtins(pair, str_keys=True) for pair in story.entries],
    }
    _write_json(folder / DATA, data)
    if story.answer is not None:
        _write_json(folder / SUMMARY_FILE, summary)
    return summary


def slacks(job: Job, answer: Answer) -> list[tuple[str, float]]:
    """Return every bound and constraint in words, with its slack in the worst confirmation run."""
    runs = answer.confirmed
    found = []
    for bound in job.bounds:
        worst = max((run.latency_ns[bound.name] for run in runs), default=bound.limit_ns)
        text = f"{bound.name} {worst / MS:.4g} <= {bound.limit_ns / MS:g} ms"
        found.append((text, 1 - worst / bound.limit_ns))
    names = {bound.name for bound in job.bounds}
    for constraint in job.constraints:
        if constraint.name in names:
            continue
        values = [_figure(constraint.name, answer, run) for run in runs]
        slack = min((constraint.slack(value) for value in values), default=0.0)
        found.append((constraint.text, slack))
    return found


def _figure(name: str, answer: Answer, run: Outcome) -> float:
    if name == "batch":
        return float(answer.candidate.max_batch_size)
    return run.figures.get(name, math.inf)


def _summary(folder: Path, story: Story) -> Summary:
    """The confirmed run in the middle, as its own summary.json has it, and the tuning beside it."""
    answer = story.answer
    if answer is None:
        return {"valid": False, "reasons": [story.stopped]}
    runs = sorted(answer.confirmed, key=lambda run: run.metric)
    summary: Summary = {"valid": answer.is_valid, "reasons": [], "metric": None}
    middle = runs[len(runs) // 2] if runs else None
    if middle is not None and middle.folder:
        summary = to_dict(read_result(folder / middle.folder))
    summary["valid"] = answer.is_valid
    summary["tuning"] = {
        "harness": _given(msgspec.to_builtins(answer.candidate.harness())),
        "target_qps": answer.target_qps,
        "confirmed": [run.folder for run in answer.confirmed],
        "valid_runs": sum(run.valid for run in answer.confirmed),
        "confidence": answer.confidence,
        "slack": dict(slacks(story.job, answer)),
        "notes": list(answer.notes),
        "command": story.command,
    }
    return summary


def _given(values: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value not in (None, {})}


def _write_json(path: Path, value: object) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def _write_csv(path: Path, story: Story) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADER)
        writer.writerows(_rows(story))


def _rows(story: Story) -> list[list[str]]:
    return [_row(k, trial, run) for k, (trial, run) in enumerate(story.trials, start=1)]


def _row(number: int, trial: Trial, run: Outcome) -> list[str]:
    sizes = run.histogram
    batches = sum(sizes.values())
    mean = sum(size * count for size, count in sizes.items()) / batches if batches else 0.0
    late = "" if run.over is None else f"{run.over}"
    is_rate = run.metric if trial.target_qps else run.samples / max(run.seconds, 1e-9)
    verdict = "stopped" if run.stopped else "VALID" if run.valid else "INVALID"
    return [
        str(number), trial.purpose, str(trial.candidate),
        "" if trial.target_qps is None else f"{trial.target_qps:.8g}", f"{run.seconds:.1f}",
        f"{is_rate:.6g}", *(f"{run.latency_ns[p] / MS:.4g}" for p in ("p50", "p90", "p99")),
        late, f"{mean:.1f}", verdict, run.folder,
    ]  # fmt: skip


def _html(story: Story) -> str:
    parts = [_lead(story), page.code(story.command)]
    answer = story.answer
    if answer is not None:
        parts += [page.heading("Why"), page.points(answer.notes)]
        rows = [[text, f"{slack:.1%}"] for text, slack in slacks(story.job, answer)]
        if rows:
            least = min(range(len(rows)), key=lambda k: slacks(story.job, answer)[k][1])
            rows[least][1] += " (binds)"
            parts += [page.heading("What binds"), page.table(("constraint", "slack"), rows)]
    parts += [page.heading("Pictures"), page.figures(_pictures(story))]
    parts += [page.heading("Trials, in order"), page.table(_HEADER, _rows(story), _LEFT)]
    if answer is not None and answer.predictions:
        parts += [page.heading("Predictions"), _predictions(answer)]
    notes = [note for _, measured in story.measured for note in measured.notes]
    return page.page(story.title, [*parts, page.points(notes)])


def _lead(story: Story) -> str:
    answer = story.answer
    if answer is None:
        return page.lead(f"Not finished: {story.stopped}", is_good=False)
    rate = "" if answer.target_qps is None else f" at {answer.target_qps:,.6g}/s"
    verdict = "VALID" if answer.is_valid else "INVALID"
    good = sum(run.valid for run in answer.confirmed)
    sure = (
        "" if answer.confidence is None else f"; again with a confidence of {answer.confidence:.0%}"
    )
    text = f"{answer.candidate}{rate}: {verdict}, {good} of {len(answer.confirmed)} runs{sure}."
    is_simulated = story.plan.harness.backend == "simulated"
    return page.lead(
        text + (" Simulated devices." if is_simulated else ""), is_good=answer.is_valid
    )


def _predictions(answer: Answer) -> str:
    best, is_fine = answer.predictions[0].qps or 1.0, answer.predictions[0].is_fine
    rows = [
        [
            str(p.candidate), f"{p.qps:,.6g}",
            f"{p.qps / best - 1:.2%}" if p.is_fine == is_fine else "",
            f"{p.fill_ns / MS:.2f}" if p.fill_ns else "", "fine" if p.is_fine else "rough",
        ]
        for p in answer.predictions[:_SHOWN_PREDICTIONS]
    ]  # fmt: skip
    return page.table(("setting", "highest rate /s", "to the best", "fill ms", "kind"), rows, (4,))


def _pictures(story: Story) -> list[tuple[str, str]]:
    answer = story.answer
    found = [
        (_service(story), "Time of one batch, S(b), with the spread between rounds."),
        (_throughput(story), "All devices with full batches; the knee is within 1 % of the peak."),
    ]
    if answer is not None and answer.curve.measured and story.job.bounds:
        found.append((_latency(story, answer), "Latency against load, predicted and measured."))
    if answer is not None and story.job.scenario == "Server":
        found.append(
            (
                _surface(answer),
                "Highest rate within the bound by batch and queue delay; white is 10 % below the "
                "best, the ring is what was chosen.",
            )
        )
    found.append((_trials(story), "Runs in order."))
    return found


def _service(story: Story) -> str:
    lines = []
    for variant, measured in story.measured:
        for name, points in _different(variant, measured):
            places = [(float(size), p.median_ns / MS) for size, p in points.items()]
            errors = [(p.low_ns / MS, p.high_ns / MS) for p in points.values()]
            lines.append(Series(name, places, "both", errors))
    axes = Axes("batch, samples", "ms", "log", "log")
    return chart("Time of one batch by batch size", axes, lines)


def _different(variant: Variant, measured: Measured) -> list[tuple[str, dict[int, Point]]]:
    """Return (name, points) of the workers; of those that are alike only the first."""
    model = Model({variant: measured}, ())
    suffix = f", {variant}" if str(variant) else ""
    if len(measured.workers) > 1 and not model.is_uneven(variant):
        return [(f"{len(measured.workers)} workers, alike{suffix}", measured.workers[0][1])]
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
            marks.append(Mark("x", knee, f"knee {knee:g}", "#555"))
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
        Series("with what runs taught", [(q, ns / MS) for q, ns in curve.corrected]),
    ]
    for purpose, colour in (("probe", COLOURS[4]), ("confirm", COLOURS[2])):
        runs = [(q, ns / MS) for q, ns, p in curve.measured if p == purpose]
        lines.append(Series(f"{purpose} runs", runs, "points", colour=colour))
    marks = [Mark("y", bound.limit_ns / MS, f"bound {bound.limit_ns / MS:g} ms")]
    if answer.target_qps is not None:
        marks.append(Mark("x", answer.target_qps, "chosen", "#555"))
    axes = Axes("queries/s", f"{bound.name}, ms", y_top=2.5 * bound.limit_ns / MS)
    return chart(f"{bound.name} against load", axes, lines, marks)


def _surface(answer: Answer) -> str:
    chosen = answer.candidate
    shown: dict[tuple[float, float], tuple[float, str]] = {}
    for p in answer.predictions:
        c = p.candidate
        place = float(c.max_batch_size), c.max_queue_delay_us / 1e3
        if p.first_qps > shown.get(place, (0.0, ""))[0]:
            shown[place] = p.first_qps, f"{c}: {p.first_qps:,.0f}/s at first look"
    cells = [(x, y, value, word) for (x, y), (value, word) in shown.items()]
    axes = Axes("batch, samples", "queue delay, ms", "log")
    place = float(chosen.max_batch_size), chosen.max_queue_delay_us / 1e3
    return heat("Highest rate by batch and queue delay", axes, cells, place)


def _trials(story: Story) -> str:
    job = story.job
    name = job.bounds[0].name if job.bounds else ""

    def height(run: Outcome) -> float:
        if name:
            return run.latency_ns[name] / MS
        return run.metric / MS if job.scenario.endswith("Stream") else run.metric

    lines = []
    for text, colour, wanted in (("VALID", COLOURS[2], True), ("INVALID", COLOURS[1], False)):
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
    unit = f"{name}, ms" if name else "ms" if job.scenario.endswith("Stream") else "samples/s"
    return chart("Runs in order", Axes("trial", unit, y_top=top, y_from_zero=True), lines, marks)
