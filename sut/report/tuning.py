"""The report of a tuning: report.html, report.json, trials.csv, summary.json.

Explains the answer: S(b), the knee, predictions and measurements, the limiting constraint.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import msgspec

from sut.record.result import to_dict
from sut.record.run_folder import SUMMARY_FILE, read_result
from sut.report import page, tuning_charts
from sut.tuner.messages import Outcome, Trial

if TYPE_CHECKING:
    from pathlib import Path

    from sut.report.tuning_charts import Story
    from sut.tuner.messages import Answer

    Summary = dict[str, object]

PAGE, DATA, TRIALS = "report.html", "report.json", "trials.csv"
MS = 1e6
_HEADER = (
    "trial", "purpose", "setting", "target /s", "seconds", "samples/s", "p50 ms", "p90 ms",
    "p99 ms", "late", "batch", "result", "folder",
)  # fmt: skip
_LEFT = (1, 2, 11, 12)
_SHOWN_PREDICTIONS = 25


def write(folder: Path, story: Story) -> Summary:
    """Write all files into the folder of the tuning; return the content of summary.json."""
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


def _summary(folder: Path, story: Story) -> Summary:
    """The summary.json of the middle confirmed run, with the tuning added."""
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
        "slack": dict(answer.slacks),
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
        parts += _binding(answer)
    parts += [page.heading("Pictures"), page.figures(tuning_charts.pictures(story))]
    parts += [page.heading("Trials, in order"), page.table(_HEADER, _rows(story), _LEFT)]
    if answer is not None and answer.predictions:
        parts += [page.heading("Predictions"), _predictions(answer)]
    notes = [note for _, measured in story.measured for note in measured.notes]
    return page.page(story.title, [*parts, page.points(notes)])


def _binding(answer: Answer) -> list[str]:
    """Return the table of constraints; the one with the least room is marked."""
    if not answer.slacks:
        return []
    least = min(slack for _, slack in answer.slacks)
    rows = [
        [text, f"{slack:.1%}{' (binds)' if slack == least else ''}"]
        for text, slack in answer.slacks
    ]
    return [
        page.heading("Constraints, the tightest marked"),
        page.table(("constraint", "slack"), rows),
    ]


def _lead(story: Story) -> str:
    answer = story.answer
    if answer is None:
        return page.lead(f"Not finished: {story.stopped}", is_good=False)
    rate = "" if answer.target_qps is None else f" at {answer.target_qps:,.6g}/s"
    verdict = "VALID" if answer.is_valid else "INVALID"
    good = sum(run.valid for run in answer.confirmed)
    sure = (
        ""
        if answer.confidence is None
        else f"; the next run is VALID with a confidence of {answer.confidence:.0%}"
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
    return page.table(("setting", "highest rate /s", "vs. best", "fill ms", "kind"), rows, (4,))
