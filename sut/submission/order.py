"""What to submit or audit, resolved: one benchmark on one system, in some scenarios.

Plain data; runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from data.rounds import checker_name, require_loadgen, round_named
from data.rounds.rules import EDGE
from data.tasks import TASKS
from scenarios import scenario_names
from sut.base import environment
from sut.base.errors import ConfigError, nearest
from sut.submission.layout import Submitter

if TYPE_CHECKING:
    from pathlib import Path

    from data.benchmark import Benchmark
    from data.rounds.rules import ModelRules, Round
    from sut.config.arguments import Travel

# Backends that answer without computing, so nothing from them is a result.
WITHOUT_ENGINE = frozenset({"null", "simulated"})

Division = Literal["closed", "network", "open"]


@dataclass(frozen=True, slots=True)
class Order:
    """One submission, or only one compliance test.

    Attributes:
        round: its rules.
        division: None: only a compliance test, with the user's own settings.
        submitter: who submits.
        benchmark: what runs.
        rules: of the round, for the model that the benchmark is or stands for.
        system_name: a name in user_confs/, and in the tree.
        system_folder: its folder.
        system: its description, complete.
        scenarios: as LoadGen spells them.
        tree: where the submission goes.
        work: where the runs stay.
        fast: runs too short to be VALID, which only prove the layout.
        small_data: state the round's counts although the data set is smaller.
        model: a model file, or None for the benchmark's.
        pixels: samples are 8-bit pixels; see data.variant.in_pixels.
        data: a data folder, or None.
        user_conf: a file, or None for the system's.
        min_duration_s: of each performance run; None: the round's.
        stand_in: why this must not be submitted; no option of the command line sets it.
        command: to repeat it.
        cluster: where the nodes are, if the SUT is reached over a network.
        network: how samples travel there; see sut.serve.network.packing.
    """

    round: Round
    division: Division | None
    submitter: str
    benchmark: Benchmark
    rules: ModelRules
    system_name: str
    system_folder: Path
    system: dict[str, object]
    scenarios: tuple[str, ...]
    tree: Path
    work: Path
    fast: bool = False
    small_data: bool = False
    model: Path | None = None
    pixels: bool | None = None
    data: Path | None = None
    user_conf: Path | None = None
    min_duration_s: float | None = None
    stand_in: str = ""
    command: str = ""
    cluster: Path | None = None
    network: Travel | None = None

    @property
    def closed(self) -> bool:
        """Whether the rules of the closed division hold, as they do in the network division."""
        return self.division in ("closed", "network")

    @property
    def required(self) -> tuple[str, ...]:
        """The scenarios that the round asks for on this type of system."""
        return self.rules.scenarios.get(type_of(self.system), ())

    @property
    def audits(self) -> tuple[str, ...]:
        """The compliance tests that belong to this submission."""
        return self.rules.audits if self.closed else ()

    @property
    def place(self) -> str:
        """The benchmark's folder in the tree: its own name where the checkers know that."""
        name = self.benchmark.name
        known = checker_name(self.round, name, {}) == self.rules.name
        return name if known or not self.closed else self.rules.name

    def folder(self, scenario: str) -> Path:
        """Return where the runs of a scenario stay."""
        kind = "fast" if self.fast else "full"
        return self.work / kind / self.system_name / self.benchmark.name / scenario

    def submitter_in(self, tree: Path) -> Submitter:
        """Return the submitter's folder in a tree."""
        assert self.division is not None, "a compliance test alone has no place in a tree"
        return Submitter(tree, self.round.layout, self.division, self.submitter)


def runnable_round(name: str) -> Round:
    """Return the rules of a round whose seeds the installed LoadGen carries.

    Raises:
        ConfigError: there is no such round, or LoadGen carries another one's.
    """
    found = round_named(name)
    require_loadgen(found, environment.versions().get("mlcommons-loadgen", "none"))
    return found


def type_of(system: dict[str, object]) -> str:
    """Return the system's type as rounds name it."""
    text = str(system.get("system_type", "")).lower()
    return "datacenter,edge" if text == "edge,datacenter" else text


def rules_for(
    round_: Round, benchmark: Benchmark, division: str, stands_for: str | None
) -> ModelRules:
    """Return the rules of the model that a benchmark is, or in open stands for.

    Raises:
        ConfigError: the round has no such benchmark.
    """
    closed, own = division != "open", benchmark.mlperf_names
    if closed and stands_for and stands_for not in own:
        remedy = f"Name one of {', '.join(own)}, or leave" if len(own) > 1 else "Leave"
        raise ConfigError(
            "--stands-for: in the closed division a benchmark is the round's own model. "
            f"{remedy} it out, or use --division open."
        )
    guess = None if closed else TASKS[benchmark.task].stands_for
    asked = stands_for or next(iter(own), None) or guess or benchmark.name
    name = checker_name(round_, asked, {})
    if name in round_.models:
        return round_.models[name]
    known = ", ".join(round_.models)
    remedy = (
        "Use --division open, or another round"
        if closed
        else "Name the benchmark to compare the model with: --stands-for NAME"
    )
    raise ConfigError(
        f"round {round_.name} has no benchmark {asked} in {division}; it has {known}."
        f"{nearest(asked, round_.models)} {remedy}."
    )


def scenarios_for(
    rules: ModelRules, system: dict[str, object], division: str, asked: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the scenarios to run: the given ones, else those that the round requires.

    Raises:
        ConfigError: the closed division has no such benchmark or scenario on that type of system.
    """
    kind = type_of(system)
    required = rules.scenarios.get(kind, ())
    if division == "open":
        return asked or required or scenario_names()
    if division == "network" and kind == EDGE:
        raise ConfigError(
            "--division network: it has the datacenter suite only, and system_type is edge. "
            "Correct system_type, or use --division open."
        )
    if not required:
        types = "; ".join(rules.scenarios)
        raise ConfigError(
            f"{rules.name} is not a benchmark of the {division} division on a system of type "
            f'"{kind}"; it is on: {types}. Correct system_type, or use --division open.'
        )
    wrong = [name for name in asked if name not in required]
    if wrong:
        raise ConfigError(
            f"{', '.join(wrong)} is no scenario of {rules.name} in the {division} division on a "
            f'system of type "{kind}"; it has {", ".join(required)}.'
        )
    return asked or required
