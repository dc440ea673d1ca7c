"""`sut sweep --plan`: converts, compares and measures every variant of a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError
from sut.base.files import write_whole
from sut.record.study import STUDY_FILE, StudyRecord, encode
from sut.report.folder import read
from sut.report.section import assemble
from sut.run.live import Screen
from sut.serve.workers.keeper import Keeper
from sut.sweep import gate, study_text
from sut.sweep.files import Files
from sut.sweep.plan_file import read_plan
from sut.sweep.runner import Runner
from sut.sweep.study import FOLDERS, Study
from sut.sweep.variant_tasks import kinds
from sut.verbs import console, continuing
from sut.verbs.report import PAGE, sections_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from sut.record.table import Table
    from sut.sweep.plan_file import StudyPlan
    from sut.sweep.study import Ready

SUMMARY = "study.md"
# What `sut sweep` takes beside --plan.
_BESIDE = {"plan", "out", "fresh", "dry_run", "json", "debug", "verb"}


def main(arguments: argparse.Namespace, command: str) -> int:
    """Run the study; return the exit code: 3 if a variant could not be measured."""
    _check_alone(command)
    plan, variants = read_plan(arguments.plan)
    say = console.sayer(as_json=arguments.json)
    folder = arguments.out or Path("runs") / f"study-{plan.name}"
    study = Study(plan, variants, folder, say)
    study.check()
    if arguments.dry_run:
        for variant in variants:
            say(variant.name)
        return EXIT_VALID
    with continuing.claimed(folder, fresh=arguments.fresh, say=say):
        say(f"study {plan.name}: {len(variants)} variants; everything is in {folder}")
        ready = study.prepare()
        record, tables = _measured(plan, study, ready, folder, command)
    for line in study_text.as_markdown(record, tables).splitlines():
        say(line)
    say(f"Report: {folder / PAGE}")
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(record), indent=2))
    return _code(record, tables)


def _check_alone(command: str) -> None:
    """Refuse options that a plan says itself."""
    words = [word.partition("=")[0] for word in command.split() if word.startswith("-")]
    allowed = {f"--{name.replace('_', '-')}" for name in _BESIDE}
    other = [word for word in words if word not in allowed]
    if other:
        raise ConfigError(f"{', '.join(other)}: the plan says it; expected only --plan and --out.")


def _measured(
    plan: StudyPlan, study: Study, ready: Sequence[Ready], folder: Path, command: str
) -> tuple[StudyRecord, dict[str, Table]]:
    """Measure all loads; write the tables, the summary and the page."""
    identity = {name: value for one in ready for name, value in one.identity.items()}
    tables: dict[str, Table] = {}
    for kind in kinds(plan):
        place = folder / FOLDERS[kind]
        place.mkdir(exist_ok=True)
        title = f"{plan.name}, {FOLDERS[kind]}"
        files = Files(place, plan.columns, plan.rule, title, command, identity)
        with Keeper() as keeper:
            runner = Runner(place, keeper, plan.rule, Screen())
            found = study.measure(ready, kind, runner, files.write)
        tables[kind] = files.table(found)
    record = StudyRecord(
        title=f"Study {plan.name}",
        about=plan.description,
        command=command,
        gate=gate.in_words(plan.gate),
        verdicts=tuple(one.verdict for one in ready),
        tables=tuple(FOLDERS[kind] for kind in kinds(plan)),
    )
    summary = study_text.as_markdown(record, tables)
    write_whole({folder / STUDY_FILE: encode(record), folder / SUMMARY: summary})
    shown = read(folder)
    assert shown is not None, "it was written just now"
    write_whole({folder / PAGE: assemble(sections_of([shown], []))})
    return record, tables


def _code(record: StudyRecord, tables: Mapping[str, Table]) -> int:
    """Return 0 if all that passed has figures; a variant that a gate keeps out is a result too."""
    passed = {v.variant for v in record.verdicts if v.reason is None}
    failed = [
        row for table in tables.values() for row in table.rows
        if row.problem is not None and row.point["variant"] in passed
    ]  # fmt: skip
    unusable = any(v.stage in ("convert", "verify") for v in record.verdicts)
    return EXIT_INVALID if failed or unusable or not passed else EXIT_VALID
