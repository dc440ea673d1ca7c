"""All checks of a tree, in order. Reads any submitter's tree; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from data.rounds import round_named
from data.rounds.tables import ROUNDS
from sut.base.errors import ConfigError
from sut.submission.checks.accuracy import check_accuracy
from sut.submission.checks.compliance import check_compliance
from sut.submission.checks.conf import check_user_conf
from sut.submission.checks.delay import Speed, check_delay, speed_of
from sut.submission.checks.finding import Finding, Findings
from sut.submission.checks.logs import check_logs
from sut.submission.checks.metadata import check_measurements, check_system
from sut.submission.checks.network import check_network_papers, check_network_result
from sut.submission.checks.old import check_old, check_old_system
from sut.submission.checks.result import (
    folders,
    places,
    read_old_result,
    read_result,
    submitters,
)
from sut.submission.checks.seeds import read_seeds
from sut.submission.checks.structure import (
    check_files,
    check_root,
    check_scenarios,
    check_submitter,
    has_results,
)

if TYPE_CHECKING:
    from pathlib import Path

    from data.rounds.rules import Round
    from sut.submission.checks.result import Result
    from sut.submission.layout import Submitter


@dataclass(frozen=True, slots=True)
class Report:
    """The result of the checks of a tree.

    Attributes:
        round: whose rules applied; None: no round has these seeds, and nothing was judged.
        results: number of results.
        not_judged: number of results of benchmarks whose rules are unknown here.
        findings: all problems, in the order of the tree.
    """

    round: str | None
    results: int
    not_judged: int
    findings: list[Finding]

    @property
    def errors(self) -> int:
        """How many findings forbid a submission."""
        return sum(finding.severity == "error" for finding in self.findings)


def check(
    root: Path,
    round_name: str | None = None,
    *,
    submitter: str | None = None,
    originals: Path | None = None,
) -> Report:
    """Check a tree.

    Args:
        root: the folder that holds closed/, open/ or network/.
        round_name: None: the round whose seeds most logs state.
        submitter: this one alone.
        originals: a folder with SYSTEM/BENCHMARK/SCENARIO/accuracy/ of whole logs, to verify the
            hashes; None: verify them as far as the tree allows.

    Raises:
        ConfigError: there is no such folder or round.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; expected a submission's tree.")
    try:
        return _check(root, round_name, submitter, originals)
    except PermissionError as error:
        raise ConfigError(
            f"{error.filename}: cannot be read: {error.strerror}; expected a tree that you may "
            "read. Correct its permissions."
        ) from error


def _check(
    root: Path, round_name: str | None, submitter: str | None, originals: Path | None
) -> Report:
    findings = Findings(root)
    round_ = round_named(round_name) if round_name else _round_of(root, submitter, findings)
    if round_ is None:
        return Report(None, 0, 0, findings.found)
    if not has_results(root):
        findings.error(
            "empty-tree",
            root,
            "there are no results in it",
            "Name the folder that holds closed/ or open/",
        )
    check_root(root, findings)
    results: list[Result] = []
    for found in submitters(root, round_.layout):
        if submitter is None or found.name == submitter:
            results += _check_submitter(found, round_, originals, findings)
    if submitter is not None and not results:
        findings.error(
            "empty-tree", root, f"{submitter} has no results", "Name another --submitter"
        )
    not_judged = sum(result.not_judged for result in results)
    return Report(round_.name, len(results), not_judged, findings.found)


def _check_submitter(
    submitter: Submitter, round_: Round, originals: Path | None, findings: Findings
) -> list[Result]:
    check_submitter(submitter, round_, findings)
    for system in folders(submitter.results):
        if round_.layout != "v0.5":
            check_system(submitter, system.name, findings)
        else:
            check_old_system(submitter, system.name, findings)
    if round_.layout == "v0.5":
        old = [read_old_result(place, round_) for place in places(submitter)]
        for result in old:
            check_old(result, findings)
        return old
    check_network_papers(submitter, findings)
    judged: list[Result] = []
    speeds: dict[Path, list[Speed]] = {}
    for place in places(submitter):
        result = read_result(place, round_, findings)
        check_files(result, findings)
        check_logs(result, findings)
        check_network_result(result, findings)
        check_accuracy(result, originals, findings)
        check_measurements(result, findings)
        check_user_conf(result, findings)
        check_compliance(result, originals, findings)
        speed = speed_of(result)
        if speed is not None:
            speeds.setdefault(place.results.parent, []).append(speed)
        # A submitter may have hundreds of results, so release their logs.
        judged.append(replace(result, performance=None, accuracy=None, measured={}))
    for group in speeds.values():
        check_delay(group, findings)
    check_scenarios(submitter, judged, findings)
    return judged


def _round_of(root: Path, submitter: str | None, findings: Findings) -> Round | None:
    """Return the round of a tree's seeds; None, and a finding, if no round has them."""
    seeds = read_seeds(root, submitter)
    if seeds.round is None:
        findings.error(
            "unknown-round",
            root,
            f"no round known with these seeds: {seeds.agreeing} of {seeds.logs} logs have "
            f"qsl_rng_seed {seeds.commonest}; expected those of {', '.join(ROUNDS)}",
            "Name a round to judge it by its rules: --round ROUND",
        )
    return seeds.round
