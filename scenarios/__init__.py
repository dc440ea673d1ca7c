"""LoadGen's four scenarios, one file each; scenarios.base has their contract."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenarios.base import Scenario

# LoadGen's name to the module that holds it as SCENARIO.
SCENARIOS: Mapping[str, str] = {
    "SingleStream": "scenarios.single_stream",
    "MultiStream": "scenarios.multi_stream",
    "Server": "scenarios.server",
    "Offline": "scenarios.offline",
}


def scenario(name: str) -> Scenario:
    """Return the scenario of that name, in any case.

    Raises:
        ConfigError: there is none.
    """
    by_lower = {known.lower(): path for known, path in SCENARIOS.items()}
    path = by_lower.get(name.lower())
    if path is None:
        raise ConfigError(
            f'scenario "{name}" does not exist; known are {", ".join(scenario_names())}.'
            f"{nearest(name, SCENARIOS)}"
        )
    found: Scenario = import_module(path).SCENARIO
    return found


def scenario_names() -> tuple[str, ...]:
    """Return the names as LoadGen spells them."""
    return tuple(SCENARIOS)
