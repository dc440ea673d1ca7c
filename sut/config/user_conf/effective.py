"""A checked user.conf, and what LoadGen reads of it for one model in one scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.config.user_conf.keys import (
    CHECKER_OFFLINE_SAMPLES,
    CLOSED_MINIMUM,
    CLOSED_OFF,
    LIBRARY_OWN,
    ROWS,
    SCENARIOS,
    built_in,
    rows_of,
)
from sut.config.user_conf.wording import plain, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of user.conf; `value` is in the unit of the file (times in ms), `line` from 1."""

    model: str
    scenario: str
    key: str
    value: int | float
    line: int

    @property
    def name(self) -> str:
        """`model.scenario.key`, as LoadGen's parser stores it."""
        return f"{self.model}.{self.scenario}.{self.key}"


@dataclass(frozen=True, slots=True)
class UserConf:
    """A checked user.conf: every entry is read by LoadGen for some model and scenario.

    Attributes:
        source: its path, for messages.
        entries: its settings, in the order of the file.
        warnings: lines without effect that do no harm: LoadGen runs as they say; one text each.
    """

    source: str
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...] = ()

    def effective(self, model: str, scenario: str) -> dict[str, Entry]:
        """Return by key what LoadGen reads for `model` in `scenario`, in the order of the file.

        The first of model.scenario.key, *.scenario.key, model.*.key, *.*.key wins: a wildcard
        model with the scenario beats the model with a wildcard scenario.

        Raises:
            ConfigError: LoadGen has no such scenario.
        """
        if scenario not in SCENARIOS:
            raise ConfigError(unknown("scenario", scenario, SCENARIOS))
        found = self.lookup(model, scenario)
        return {key: entry for key, entry in found.items() if is_used(entry, found, model)}

    def closed_problems(self, model: str, scenario: str) -> list[str]:
        """Return what a closed submission of `model` in `scenario` may not have; one line each."""
        return [
            f"{self.source}:{entry.line}: {entry.name} = {plain(entry.value)}: {problem}"
            for entry in self.effective(model, scenario).values()
            if (problem := _closed_problem(entry, model, scenario))
        ]

    def lookup(self, model: str, scenario: str) -> dict[str, Entry]:
        """Return the entry that LoadGen finds for each key; `effective` is those that it uses."""
        by_name = {entry.name: entry for entry in self.entries}
        places = ((model, scenario), ("*", scenario), (model, "*"), ("*", "*"))
        found = {}
        for key in dict.fromkeys(
            entry.key for entry in self.entries if rows_of(entry.key, scenario)
        ):
            matches = (by_name.get(f"{m}.{s}.{key}") for m, s in places)
            entry = next((match for match in matches if match), None)
            if entry:
                found[key] = entry
        return found


def is_used(entry: Entry, found: Mapping[str, Entry], model: str) -> bool:
    """Return whether LoadGen uses an entry: the switch that it needs, if any, is on."""
    needs = ROWS[entry.key][0].needs
    if needs is None:
        return True
    switch = found.get(needs)
    return (switch.value if switch else built_in(model, "*", needs)) == 1


def _closed_problem(entry: Entry, model: str, scenario: str) -> str:
    """Return what is wrong with `entry` in closed; empty if nothing is."""
    key, value = entry.key, entry.value
    minimum = built_in(model, scenario, key)
    if (scenario, key) == ("Offline", "min_query_count"):
        minimum = minimum or CHECKER_OFFLINE_SAMPLES.get(model)
    shortest = built_in(model, scenario, "min_duration") or 0
    own_count = key in LIBRARY_OWN and value == 0
    row = rows_of(key, scenario)[0]
    as_built_in = value == (0 if minimum is None and row.kind == "switch" else minimum)
    rules = (
        (
            row.category == "open_only" and not as_built_in,
            "it makes the result open-division only",
        ),
        (
            key in CLOSED_MINIMUM and not own_count and value < (minimum or 0),
            f"closed asks for at least {minimum}",
        ),
        (key in CLOSED_OFF and value, "only a compliance test may set it"),
        (
            key == "accuracy_sample_count_override" and not own_count and value != minimum,
            f"accuracy in closed runs {minimum or 'all'} samples",
        ),
        (
            key == "max_duration" and 0 < value < shortest,
            f"the run would end before the {shortest} ms of closed",
        ),
    )
    return next((f"{text}; remove the line." for broken, text in rules if broken), "")
