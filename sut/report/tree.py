"""What a page says of a submission's tree: each result, each system, each finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import scenario_names
from sut.report import environment, page, words
from sut.report.section import Overview, Section

if TYPE_CHECKING:
    from sut.record.submitted import Submission, Submitted

_HEADER = ("scenario", "benchmark", "metric", "value", "result", "p50 ms", "p90 ms", "p99 ms",
           "accuracy", "system", "submitter", "division", "started")  # fmt: skip
_LEFT = (0, 1, 2, 4, 8, 9, 10, 11, 12)
_MS = 1e6


def section(tree: Submission) -> Section:
    """Return what a page says of a tree."""
    verdict = (
        f"{len(tree.results)} results, {tree.errors} errors and "
        f"{len(tree.findings) - tree.errors} warnings"
    )
    by = f"by the rules of {tree.round}" if tree.round else "no round has these seeds"
    systems = [
        (f"System {name}", page.facts(environment.flat(system)))
        for name, system in tree.systems.items()
    ]
    return Section(
        title=f"Submission {tree.name}",
        about=(f"Checked {by}.",),
        doubts=(),
        blocks=(
            ("", page.lead(f"{verdict}.", is_good=not tree.errors)),
            ("", page.code(f"sut check {tree.name}")),
            ("Results", page.table(_HEADER, list(map(_row, tree.results)), _LEFT, "Results")),
            ("Findings", page.points(tree.findings)),
            *systems,
        ),
        overview=Overview(
            "Submissions", ("tree", "round", "checks"),
            ((tree.name, tree.round or "-", verdict),), (0, 1, 2),
        ),
        data={"kind": "submission", "results": len(tree.results), "errors": tree.errors},
    )  # fmt: skip


def _row(result: Submitted) -> list[str]:
    known = result.scenario in scenario_names()
    metric, value = (
        words.metric_words(result.scenario, result.metric)
        if known and result.metric is not None
        else ("-", "-")
    )
    latencies = (result.percentiles_ns.get(name) for name in ("p50", "p90", "p99"))
    return [
        result.scenario, result.benchmark, metric, value, result.validity or "-",
        *("-" if ns is None else f"{ns / _MS:,.2f}" for ns in latencies),
        result.accuracy or "-", result.system, result.submitter, result.division, result.started,
    ]  # fmt: skip
