"""A study: every variant of a plan is converted, compared with the reference, and then measured.

A variant that fails one of these steps has no figures, and a reason instead; the others go on.
Knows no process and no page.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np
from msgspec import structs

from backends.base import WITHOUT_MODEL
from sut.base.errors import ConfigError, SutError
from sut.config.prepare import prepared_samples, resolve_workload
from sut.models.answers import Opening, ask
from sut.record.journal import JournalFile
from sut.record.study import Verdict
from sut.record.table import Row
from sut.sweep import gate
from sut.sweep.gate import Reference
from sut.sweep.plan_file import as_settings
from sut.sweep.runner import Measured
from sut.sweep.session import Session
from sut.sweep.variant_tasks import kinds, settings_of, tasks_of, without_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from data.benchmark import Benchmark
    from sut.config.workload import Workload
    from sut.load.loads import Kind
    from sut.models.answers import Answers
    from sut.sweep.plan_file import StudyPlan, Variant
    from sut.sweep.session import Found
    from sut.sweep.task import Task

    # See sut.models.answers.ask.
    Ask = Callable[[Opening, Workload, Sequence[int], Path], Answers]

FOLDERS: Mapping[Kind, str] = {"offline": "offline", "closed": "online"}


class Bench(Protocol):
    """Measures the points of one load."""

    def measure(self, task: Task) -> Measured:
        """Measure one; see sut.sweep.runner.Runner."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A variant before it is measured.

    Attributes:
        verdict: on it.
        tasks: its points; empty with a reason in the verdict.
        identity: hashes by what they identify.
    """

    verdict: Verdict
    tasks: Sequence[Task] = ()
    identity: Mapping[str, str] = field(default_factory=dict)


class Study:
    """One plan in its folder.

    Args:
        plan: as read.
        variants: of the plan.
        folder: of the study; keeps a journal, and a folder for each load.
        say: prints a line.
        ask: runs samples through an engine.
    """

    def __init__(
        self,
        plan: StudyPlan,
        variants: Sequence[Variant],
        folder: Path,
        say: Callable[[str], None],
        ask: Ask = ask,
    ) -> None:
        self._plan, self._variants, self._folder, self._say = plan, variants, folder, say
        self._ask = ask
        self._known: dict[str, Verdict] = {}
        self._references: dict[str, Reference] = {}

    def check(self) -> None:
        """Resolve the settings of every variant, before anything is written.

        Raises:
            ConfigError: one is wrong.
        """
        for variant in self._variants:
            settings = [settings_of(self._plan, variant, kind) for kind in kinds(self._plan)]
            if settings[0].harness.backend in WITHOUT_MODEL:
                continue
            if self._plan.gate is None:
                raise ConfigError(
                    f'variant "{variant.name}" runs a model; expected a `gate` in the plan, such '
                    "as {least_snr_db: 30}."
                )
            if variant.tolerance is None:
                raise ConfigError(
                    f'variant "{variant.name}": verify.tolerance has no entry for precision '
                    f'{variant.precision}; expected one, such as {{"*": {{atol: 0.01}}}}.'
                )

    def prepare(self) -> list[Ready]:
        """Convert and verify every variant, and say what came of it.

        Raises:
            ConfigError: the folder holds another study.
        """
        journal = JournalFile(self._folder, as_settings(self._plan), "study")
        for entry in journal.open():
            verdict = msgspec.convert(entry, Verdict)
            self._known[verdict.variant] = verdict
        found = []
        for number, variant in enumerate(self._variants, 1):
            ready = self._ready(variant)
            journal.append(msgspec.to_builtins(ready.verdict))
            found.append(ready)
            self._tell(f"{number}/{len(self._variants)}", ready.verdict)
        return found

    def measure(
        self, ready: Sequence[Ready], kind: Kind, bench: Bench, keep: Callable[[Found], None]
    ) -> list[tuple[Task, Measured]]:
        """Measure the points of one load; return those of all variants, in order.

        Args:
            ready: all variants.
            kind: of load.
            bench: measures.
            keep: receives all so far after each, with those that are not measured.
        """
        tasks = [task for one in ready for task in one.tasks if task.load.kind == kind]
        latest: list[tuple[Task, Measured]] = []

        def kept(found: Found) -> None:
            latest[:] = self._merged(ready, kind, found)
            keep(latest)

        settings = {**as_settings(self._plan), "load": kind}
        session = Session(self._folder / FOLDERS[kind], settings, self._say)
        session.open()
        if tasks:
            try:
                session.run(tasks, bench.measure, kept)
            except SutError as error:
                self._say(str(error))  # no point could be measured: the table says why
        else:
            kept([])
        return latest

    def _ready(self, variant: Variant) -> Ready:
        """Return a variant that is to be measured, or a verdict that says why it is not."""
        name = variant.name
        if variant.needs is not None and find_spec(variant.needs) is None:
            reason = f"the package {variant.needs} is not installed"
            return Ready(Verdict(variant=name, stage="left out", reason=reason))
        settings = {key: str(value) for key, value in variant.axes.items()}
        try:
            tasks, identity = tasks_of(self._plan, variant)
        except SutError as error:
            return Ready(_ended(name, "convert", error, settings))
        model = tasks[0].workload.model
        if tasks[0].plan.harness.backend in WITHOUT_MODEL:
            return Ready(Verdict(variant=name, settings=settings), tasks, identity)
        if model is not None:
            settings["model"] = model.sha256
        before = self._known.get(name)
        # A server may have another model by now.
        if model and before and before.reason is None and before.settings == settings:
            return Ready(before, tasks, identity)
        try:
            verdict = self._verified(variant, tasks[0])
        except SutError as error:
            return Ready(_ended(name, "verify", error, settings))
        verdict = structs.replace(verdict, settings=settings)
        return Ready(verdict, tasks if verdict.reason is None else (), identity)

    def _verified(self, variant: Variant, task: Task) -> Verdict:
        benchmark = task.plan.benchmark
        reference = self._reference(benchmark)
        harness = task.harness
        device = harness.devices[0]
        opening = Opening(
            harness.backend, device, harness.cap(device), dict(harness.backend_options)
        )
        found = self._ask(opening, task.workload, reference.rows, self._folder)
        assert variant.tolerance is not None, "checked before"
        assert self._plan.gate is not None, "checked before"
        verdict = gate.judge(variant.name, reference, found, variant.tolerance)
        return verdict if verdict.reason is not None else gate.through(verdict, self._plan.gate)

    def _reference(self, benchmark: Benchmark) -> Reference:
        """Return the answers of the benchmark's model, in ONNX Runtime on the CPU."""
        key = str(benchmark.file)
        if key not in self._references:
            workload = resolve_workload(benchmark, "onnxruntime", None)
            samples = prepared_samples(benchmark, None)
            count = min(self._plan.verify.samples, samples.count)
            spread = np.linspace(0, samples.count - 1, count).astype(int)
            rows: list[int] = np.unique(spread).tolist()
            opening = Opening("onnxruntime", options={"graph_optimization": "disabled"})
            answers = self._ask(opening, workload.with_samples(samples), rows, self._folder)
            made = Reference(answers, samples, rows, benchmark.postprocess)
            self._references[key] = made
        return self._references[key]

    def _merged(
        self, ready: Sequence[Ready], kind: Kind, found: Found
    ) -> list[tuple[Task, Measured]]:
        """Return what was measured, each variant in its place, with what its answers are worth."""
        merged: list[tuple[Task, Measured]] = []
        for variant, one in zip(self._variants, ready, strict=True):
            if one.verdict.reason is not None:
                row = Row(point={"variant": variant.name}, problem=in_words(one.verdict))
                merged.append((without_model(self._plan, variant, kind), Measured(row, {}, 0.0)))
            merged += [
                (task, _with_accuracy(measured, one.verdict))
                for task, measured in found
                if task.setting["variant"] == variant.name
            ]
        return merged

    def _tell(self, count: str, verdict: Verdict) -> None:
        what = "measured without a model" if not verdict.samples else (
            f"{verdict.samples} samples within the tolerances, SNR {verdict.snr_db:.1f} dB"
        )  # fmt: skip
        self._say(f"{count}  {verdict.variant}: {in_words(verdict) if verdict.reason else what}")
        for warning in verdict.warnings:
            self._say(f"    ! {warning}")


def in_words(verdict: Verdict) -> str:
    """Return why a variant has no figures."""
    return f"{verdict.stage}: {verdict.reason}"


def _ended(name: str, stage: str, error: SutError, settings: Mapping[str, str]) -> Verdict:
    return Verdict(variant=name, settings=dict(settings), stage=stage, reason=str(error))


def _with_accuracy(measured: Measured, verdict: Verdict) -> Measured:
    known = {"accuracy": verdict.score, "snr_db": verdict.snr_db}
    figures = {name: value for name, value in known.items() if value is not None}
    row = measured.row
    if row.problem is not None or not figures:
        return measured
    return replace(measured, row=structs.replace(row, figures={**row.figures, **figures}))
