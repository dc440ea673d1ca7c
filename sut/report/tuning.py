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
from sut.report import environment, page, tuning_charts, tuning_story
from sut.report.section import Overview, Section, assemble

if TYPE_CHECKING:
    from pathlib import Path

    from sut.report.section import Block
    from sut.report.tuning_story import Story
    from sut.tuner.messages import Answer, Outcome, Trial

    Summary = dict[str, object]

PAGE, TRIALS = "report.html", "trials.csv"
MS = 1e6
_HEADER = (
    "trial", "purpose", "setting", "target /s", "seconds", "samples/s", "p50 ms", "p90 ms",
    "p99 ms", "late", "batch", "result", "folder",
)  # fmt: skip
_LEFT = (1, 2, 11, 12)
_SHOWN_PREDICTIONS = 25


def write(folder: Path, story: Story) -> Summary:
    """Write all files into the folder of the tuning; return the content of summary.json."""
    (folder / PAGE).write_text(assemble([section(story)]), encoding="utf-8")
    _write_csv(folder / TRIALS, story)
    summary = _summary(folder, story)
    tuning_story.write(folder / tuning_story.DATA_FILE, story)
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
        f"{is_rate:.6g}", *(f"{run.latency_ns[p] / MS:.4g}" for p in tuning_story.PERCENTILES),
        late, f"{mean:.1f}", verdict, run.folder,
    ]  # fmt: skip


def section(story: Story) -> Section:
    """Return what a page says of a tuning."""
    answer = story.answer
    notes = [note for _, measured in story.measured for note in measured.notes]
    blocks: list[Block] = [("", _lead(story)), ("", page.code(story.command))]
    if answer is not None:
        blocks += [("Why", page.points(answer.notes))]
        blocks += [("Constraints, the tightest marked", _binding(answer))]
    blocks += [
        ("Charts", page.figures(tuning_charts.pictures(story))),
        ("", page.points(notes)),
        ("Trials, in order", page.table(_HEADER, _rows(story), _LEFT, "Trials, in order")),
    ]
    if answer is not None and answer.predictions:
        blocks += [("Predictions", _predictions(answer))]
    values = [(name, *pair) for name, pair in story.configuration.items()]
    blocks += [
        ("Configuration at the start", page.facts(values)),
        ("Environment", page.facts(environment.flat(story.environment))),
    ]
    return Section(
        title=f"Tuning of {story.title}",
        about=(environment.started(story.started),),
        doubts=(environment.SIMULATED,) if story.simulated else (),
        blocks=tuple(blocks),
        overview=Overview(
            "Tunings", ("tuning", "answer", "result"), ((story.title, *_answer(story)),), (0, 1, 2)
        ),
        data={
            "kind": "tuning",
            "valid": answer is not None and answer.is_valid,
            "answer": None
            if answer is None
            else _given(msgspec.to_builtins(answer.candidate.harness())),
            "target_qps": None if answer is None else answer.target_qps,
        },
    )


def _answer(story: Story) -> tuple[str, str]:
    """Return the settings found, and the verdict."""
    answer = story.answer
    if answer is None:
        return f"not finished: {story.stopped}", "-"
    rate = "" if answer.target_qps is None else f" at {answer.target_qps:,.6g}/s"
    return f"{answer.candidate}{rate}", "VALID" if answer.is_valid else "INVALID"


def _binding(answer: Answer) -> str:
    """Return the table of constraints; the one with the least room is marked."""
    if not answer.slacks:
        return ""
    least = min(slack for _, slack in answer.slacks)
    rows = [
        [text, f"{slack:.1%}{' (binds)' if slack == least else ''}"]
        for text, slack in answer.slacks
    ]
    return page.table(("constraint", "slack"), rows, title="Constraints")


def _lead(story: Story) -> str:
    answer = story.answer
    if answer is None:
        return page.lead(f"Not finished: {story.stopped}", is_good=False)
    good = sum(run.valid for run in answer.confirmed)
    sure = (
        ""
        if answer.confidence is None
        else f"; the next run is VALID with a confidence of {answer.confidence:.0%}"
    )
    found, verdict = _answer(story)
    text = f"{found}: {verdict}, {good} of {len(answer.confirmed)} runs{sure}."
    return page.lead(text, is_good=answer.is_valid)


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
    header = ("setting", "highest rate /s", "vs. best", "fill ms", "kind")
    return page.table(header, rows, (0, 4), "Predictions")
