"""The results of a submission's tree, as a page lists them. Only data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenarios.base import Metric


@dataclass(frozen=True, slots=True)
class Submitted:
    """One scenario of a benchmark on a system.

    Attributes:
        division: closed, open or network.
        submitter: its name.
        system: the name of its description.
        benchmark: as its folder is named.
        scenario: as LoadGen spells it.
        metric: LoadGen's figure of the scenario; None: unknown.
        validity: VALID or INVALID; None: the log does not say.
        percentiles_ns: latencies by percentile, such as "p99".
        accuracy: the line of accuracy.txt; empty without one.
        started: ISO 8601 time of the performance run; empty: unknown.
    """

    division: str
    submitter: str
    system: str
    benchmark: str
    scenario: str
    metric: Metric | None
    validity: str | None
    percentiles_ns: dict[str, float]
    accuracy: str
    started: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A tree.

    Attributes:
        name: of its folder.
        round: whose rules apply; None: no round has these seeds.
        results: in the order of the tree.
        systems: descriptions by DIVISION/SUBMITTER/SYSTEM.
        findings: what the checks found, the errors first.
        errors: how many of them forbid a submission.
    """

    name: str
    round: str | None
    results: tuple[Submitted, ...]
    systems: dict[str, dict[str, object]]
    findings: tuple[str, ...]
    errors: int
