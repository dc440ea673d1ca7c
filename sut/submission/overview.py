"""A tree as a list of results with their figures and what the checks found. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.rounds import LATEST, round_named
from scenarios import scenario, scenario_names
from sut.base.errors import DataError
from sut.record.loadgen_logs import DETAIL_FILE, read_detail, started
from sut.record.run_folder import ACCURACY_FILE
from sut.record.submitted import Submission, Submitted
from sut.submission.check import check
from sut.submission.checks.reading import read_text
from sut.submission.checks.result import json_or_empty, places, submitters
from sut.submission.checks.structure import has_results
from sut.submission.layout import DIVISIONS

if TYPE_CHECKING:
    from pathlib import Path

    from scenarios.base import Metric
    from sut.submission.layout import Place

_BY_LOWER = {name.lower(): name for name in scenario_names()}


def is_tree(folder: Path) -> bool:
    """Return whether a folder is a submission's tree, with at least one result."""
    return any((folder / name).is_dir() for name in DIVISIONS) and has_results(folder)


def overview(root: Path) -> Submission:
    """Read and check a tree. A log that cannot be read has no figures; a finding says why."""
    report = check(root)
    layout = round_named(report.round or LATEST).layout
    results, systems = [], {}
    for submitter in submitters(root, layout):
        for place in places(submitter):
            results.append(_submitted(place))
            name = "/".join((submitter.division, submitter.name, place.system))
            systems[name] = json_or_empty(submitter.system(place.system))
    ordered = sorted(report.findings, key=lambda finding: finding.severity)  # errors first
    return Submission(
        name=root.name,
        round=report.round,
        results=tuple(results),
        systems=systems,
        findings=tuple(map(str, ordered)),
        errors=report.errors,
    )


def _submitted(place: Place) -> Submitted:
    name = _BY_LOWER.get(place.scenario.lower(), place.scenario)
    metric, percentiles, validity = _figures(place.performance(), name)
    accuracy = (read_text(place.accuracy / ACCURACY_FILE) or "").strip()
    return Submitted(
        division=place.submitter.division,
        submitter=place.submitter.name,
        system=place.system,
        benchmark=place.benchmark,
        scenario=name,
        metric=metric,
        validity=validity,
        percentiles_ns=percentiles,
        accuracy=accuracy.splitlines()[0] if accuracy else "",
        started=started(place.performance() / DETAIL_FILE),
    )


def _figures(folder: Path, name: str) -> tuple[Metric | None, dict[str, float], str | None]:
    """Return metric, latencies and verdict of a performance run, as far as its log has them."""
    try:
        detail = read_detail(folder)
    except DataError:
        return None, {}, None
    if name not in scenario_names():
        return None, {}, detail.validity
    rules = scenario(name)
    try:
        metric = rules.metric(detail)
    except DataError:
        metric = None
    try:
        return metric, rules.latency_ns(detail), detail.validity
    except DataError:
        return metric, {}, detail.validity
