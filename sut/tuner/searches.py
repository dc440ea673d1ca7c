"""The searches by name: `model` for every scenario; for Server Optuna too, and two to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.tuner import bruteforce, offline, optuna_search, server, streams

if TYPE_CHECKING:
    from sut.tuner.session import MakeSearch

NAMES = ("model", "grid", "bisect", "optuna")
_MODEL: dict[str, MakeSearch] = {
    "Server": server.search,
    "Offline": offline.search,
    "SingleStream": streams.search,
    "MultiStream": streams.search,
}
_OTHERS: dict[str, MakeSearch] = {
    "grid": bruteforce.grid,
    "bisect": bruteforce.bisect,
    "optuna": optuna_search.search,
}


def search_of(name: str, scenario: str) -> MakeSearch:
    """Return how a search begins.

    Raises:
        ConfigError: the others are there for Server alone.
    """
    if name == "model":
        return _MODEL[scenario]
    if scenario != "Server":
        raise ConfigError(f"--search {name} is for Server; {scenario} has --search model alone.")
    return _OTHERS[name]
