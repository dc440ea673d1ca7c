"""One result of a tree with its logs, and how the results of a tree are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.rounds import model_rules
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

_BY_LOWER = {name.lower(): name for name in scenario_names()}


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario of a benchmark on a system.

    Attributes:
        place: where its files lie.
        round: whose rules hold.
        rules: of its model; None if the round has none that this program knows.
        system: the system's description; empty if there is none.
        performance: detail log of the performance run; None if it cannot be read.
        accuracy: the same of the accuracy run.
        measured: measurements.json; empty if there is none.
    """

    place: Place
    round: Round
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
    return Result(
        place=place,
        round=round_,
        rules=model_rules(round_, place.benchmark, names),
        system=json_or_empty(submitter.system(place.system)),
        performance=_log(place.performance(), "performance", findings),
        accuracy=_log(place.accuracy, "accuracy", findings),
        measured=json_or_empty(place.measurements_json),
    )


def json_or_empty(path: Path) -> dict[str, object]:
    """Return a JSON object; empty where there is none: a check of that file says so."""
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
    if not log.complete:
        findings.error(
            f"{kind}-log-broken", path, "it ends before LoadGen's last record", "Run it again"
        )
        # A performance log without its results fails every check of them; one finding is enough.
        return log if kind == "accuracy" else None
    return log


def is_old(path: Path) -> bool:
    """Tell a detail log of LoadGen 0.5, whose records are no JSON."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith('"pid":')
