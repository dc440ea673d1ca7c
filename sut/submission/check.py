"""All checks of a tree, in order. Reads any submitter's tree; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.rounds import LATEST, model_rules, round_named, round_of_seeds
from sut.base.errors import ConfigError, DataError
from sut.record.loadgen_logs import DETAIL_FILE, read_detail
from sut.submission.checks.accuracy import check_accuracy
from sut.submission.checks.compliance import check_compliance
from sut.submission.checks.finding import Finding, Findings
from sut.submission.checks.logs import check_logs
from sut.submission.checks.metadata import check_measurements, check_system
from sut.submission.checks.old import check_old
from sut.submission.checks.result import (
    Result,
    folders,
    is_old,
    json_or_empty,
    places,
    read_result,
    submitters,
)
from sut.submission.checks.structure import (
    check_files,
    check_root,
    check_scenarios,
    check_submitter,
    has_results,
)
from sut.submission.layout import DIVISIONS

if TYPE_CHECKING:
    from pathlib import Path

    from data.rounds.rules import Round
    from sut.submission.layout import Place, Submitter


@dataclass(frozen=True, slots=True)
class Report:
    """What the checks say of a tree.

    Attributes:
        round: whose rules were applied.
        results: how many there are.
        findings: everything that is wrong, in the order of the tree.
    """

    round: str
    results: int
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
        round_name: None: the round of the first log's seeds.
        submitter: this one alone.
        originals: a folder with SYSTEM/BENCHMARK/SCENARIO/accuracy/ of whole logs, to verify the
            hashes; None: they are verified as far as the tree allows.

    Raises:
        ConfigError: there is no such folder or round.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder; expected a submission's tree.")
    round_ = round_named(round_name) if round_name else _round_of(root)
    findings = Findings(root)
    if not has_results(root):
        findings.error(
            "empty-tree",
            root,
            "there are no results in it",
            "Name the folder that holds closed/ or open/",
        )
    check_root(root, findings)
    count = 0
    for found in submitters(root, round_.layout):
        if submitter is None or found.name == submitter:
            count += _check_submitter(found, round_, originals, findings)
    if submitter is not None and not count:
        findings.error(
            "empty-tree", root, f"{submitter} has no results", "Name another --submitter"
        )
    return Report(round_.name, count, findings.found)


def _check_submitter(
    submitter: Submitter, round_: Round, originals: Path | None, findings: Findings
) -> int:
    check_submitter(submitter, round_, findings)
    for system in folders(submitter.results):
        if round_.layout != "v0.5":
            check_system(submitter, system.name, findings)
        elif not submitter.system(system.name).is_file():
            findings.error(
                "system-missing", submitter.system(system.name), "it is missing", "Write it"
            )
    if round_.layout == "v0.5":
        results = [_old(place, round_) for place in places(submitter)]
        for result in results:
            check_old(result, findings)
        return len(results)
    results = [read_result(place, round_, findings) for place in places(submitter)]
    for result in results:
        check_files(result, findings)
        check_logs(result, findings)
        check_accuracy(result, originals, findings)
        check_measurements(result, findings)
        check_compliance(result, originals, findings)
    check_scenarios(submitter, results, findings)
    return len(results)


def _old(place: Place, round_: Round) -> Result:
    system = json_or_empty(place.submitter.system(place.system))
    rules = model_rules(round_, place.benchmark, {})
    return Result(place, round_, rules, system, None, None, {})


def _round_of(root: Path) -> Round:
    """Return the round of the first log that says one by its seeds; else the latest."""
    for division in DIVISIONS:
        for path in sorted(
            (root / division).glob(f"*/results/*/*/*/performance/run_1/{DETAIL_FILE}")
        ):
            if is_old(path):
                return round_named("v0.5")
            try:
                seed = read_detail(path).get("effective_qsl_rng_seed")
            except DataError:
                continue
            found = round_of_seeds(seed)
            if found is not None:
                return found
    return round_named(LATEST)
