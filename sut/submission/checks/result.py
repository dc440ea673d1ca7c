"""One result of a tree with its logs, and how to find the results of a tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.rounds import checker_name, open_name
from scenarios import scenario_names
from sut.base.errors import DataError
from sut.record.loadgen_logs import DETAIL_FILE, read_detail
from sut.submission import system as system_json
from sut.submission.layout import DIVISIONS, MODEL_MAPPING_FILE, Place, Submitter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from data.rounds.rules import LayoutName, ModelRules, Round
    from sut.record.loadgen_logs import DetailLog
    from sut.submission.checks.finding import Findings

INTERACTIVE = "Interactive"  # LoadGen's Server, with the bounds of an LLM
_BY_LOWER = {name.lower(): name for name in (*scenario_names(), INTERACTIVE)}


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario of a benchmark on a system.

    Attributes:
        place: where its files are.
        round: whose rules apply.
        model: the benchmark that its folder's name stands for, by the checker's name.
        rules: of that benchmark; None if this program has none.
        system: the system's description; empty if there is none.
        performance: detail log of the performance run; None if it cannot be read.
        accuracy: the same of the accuracy run.
        measured: measurements.json; empty if there is none.
    """

    place: Place
    round: Round
    model: str
    rules: ModelRules | None
    system: dict[str, object]
    performance: DetailLog | None
    accuracy: DetailLog | None
    measured: dict[str, object]

    @property
    def closed(self) -> bool:
        """Whether the rules of the closed division hold."""
        return self.place.submitter.division != "open"

    @property
    def scenario(self) -> str:
        """The scenario as LoadGen spells it; folders may be spelt otherwise."""
        return _BY_LOWER.get(self.place.scenario.lower(), self.place.scenario)

    @property
    def loadgen_scenario(self) -> str:
        """The scenario that LoadGen runs for it."""
        return "Server" if self.scenario == INTERACTIVE else self.scenario

    @property
    def not_judged(self) -> bool:
        """Whether it is of a benchmark of the round whose rules are not known here."""
        return self.rules is None and self.model in self.round.others

    @property
    def performance_detail(self) -> Path:
        """The detail log of the performance run."""
        return self.place.performance() / DETAIL_FILE

    @property
    def accuracy_detail(self) -> Path:
        """The detail log of the accuracy run."""
        return self.place.accuracy / DETAIL_FILE


def submitters(root: Path, layout: LayoutName) -> Iterator[Submitter]:
    """Yield every submitter of a tree, in the order of their names."""
    for division in DIVISIONS:
        for folder in folders(root / division):
            yield Submitter(root, layout, division, folder.name)


def places(submitter: Submitter) -> Iterator[Place]:
    """Yield every result of a submitter."""
    for system in folders(submitter.results):
        for benchmark in folders(system):
            for scenario in folders(benchmark):
                yield Place(submitter, system.name, benchmark.name, scenario.name)


def read_result(place: Place, round_: Round, findings: Findings) -> Result:
    """Read a result; what cannot be read is a finding."""
    submitter = place.submitter
    mapping = json_or_empty(submitter.folder / MODEL_MAPPING_FILE)
    names = {name: str(model) for name, model in mapping.items()}
    named = open_name if submitter.division == "open" else checker_name
    model = named(round_, place.benchmark, names)
    return Result(
        place=place,
        round=round_,
        model=model,
        rules=round_.models.get(model),
        system=json_or_empty(submitter.system(place.system)),
        performance=_log(place.performance(), "performance", findings),
        accuracy=_log(place.accuracy, "accuracy", findings),
        measured=json_or_empty(measurements_file(place)),
    )


def read_old_result(place: Place, round_: Round) -> Result:
    """Read a result of v0.5; its logs have another form and are read by their checks."""
    model = checker_name(round_, place.benchmark, {})
    system = json_or_empty(place.submitter.system(place.system))
    return Result(place, round_, model, round_.models.get(model), system, None, None, {})


def measurements_file(place: Place) -> Path:
    """Return the path of a result's measurements, or where it should be.

    Up to v5.1 the checkers take any SYSTEM*.json, first the one that also names the scenario.
    """
    expected = place.measurements_json
    if place.submitter.layout == "flat" or expected.is_file():
        return expected
    found = sorted(
        path
        for path in place.measurements.glob("*.json")
        if path.name.startswith(place.system) and path.is_file()
    )
    return next(
        (p for p in found if p.stem.endswith(f"_{place.scenario}")), (found or [expected])[0]
    )


def json_or_empty(path: Path) -> dict[str, object]:
    """Return a JSON object; empty if there is none, which another check reports."""
    try:
        return system_json.read(path)
    except DataError:
        return {}


def folders(path: Path) -> list[Path]:
    """Return the folders in `path`, by name; none where there is no such folder."""
    if not path.is_dir():
        return []
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _log(folder: Path, kind: str, findings: Findings) -> DetailLog | None:
    path = folder / DETAIL_FILE
    if not path.is_file():
        findings.error(
            f"{kind}-log-missing",
            path,
            f"there is no {kind} run",
            "Run it, and put LoadGen's logs there",
        )
        return None
    try:
        log = read_detail(path)
    except DataError as error:
        why = str(error).removeprefix(str(path)).strip(": .")
        findings.error(f"{kind}-log-broken", path, why, "Copy it from the run again")
        return None
    if log.runs > 1:
        findings.error(
            f"{kind}-log-broken", path, f"it holds {log.runs} runs; expected one", "Run it again"
        )
    if not log.complete:
        findings.error(
            f"{kind}-log-broken", path, "it ends before LoadGen's last record", "Run it again"
        )
        # A performance log without results would fail every check; one finding is enough.
        return log if kind == "accuracy" else None
    return log
