"""MLPerf Inference rounds for submissions, as data: models, bounds, counts, seeds, layout.

Sources: mlcommons/inference, tools/submission/submission_checker/constants.py (v5.1 to v6.1),
v0.5/tools/submission and inference_rules.adoc of 2019-10-10 (v0.5); seeds: mlperf.conf of each
round. What a round asks of LoadGen's settings in every benchmark alike is in scenarios.rounds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from data.rounds.tables import ROUNDS
from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from data.rounds.rules import Round

LATEST = "v6.1"


def round_named(name: str) -> Round:
    """Return a round.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in ROUNDS:
        raise ConfigError(
            f'--round: "{name}" is not a round that this program knows; expected one of '
            f"{', '.join(ROUNDS)}.{nearest(name, ROUNDS)}"
        )
    return ROUNDS[name]


def round_of_seeds(qsl_seed: object) -> Round | None:
    """Return the round whose seeds a log was made with, by its qsl_rng_seed."""
    return next((r for r in ROUNDS.values() if r.seeds.qsl_rng_seed == qsl_seed), None)


def require_loadgen(round_: Round, loadgen_version: str) -> None:
    """Refuse a round whose seeds the installed LoadGen does not have.

    The seeds are compiled into LoadGen; nothing else can set them.

    Raises:
        ConfigError: names the round that it can make, and the versions that are needed.
    """
    if round_.loadgen is None:
        raise ConfigError(
            f"--round {round_.name}: no available LoadGen has its seeds, so it "
            "can be checked but not run. Use --round " + LATEST + "."
        )
    if _within(loadgen_version, round_.loadgen):
        return
    fits = [r.name for r in ROUNDS.values() if r.loadgen and _within(loadgen_version, r.loadgen)]
    first, last = round_.loadgen
    raise ConfigError(
        f"--round {round_.name}: its seeds are in mlcommons-loadgen {first} to {last}, but "
        f"{loadgen_version} is installed"
        + (f", which has those of {fits[0]}. Use --round {fits[0]}" if fits else "")
        + f', or install "mlcommons-loadgen>={first},<={last}".'
    )


def checker_name(round_: Round, benchmark: str, mapping: dict[str, str]) -> str:
    """Return the checker's name for a benchmark's folder: that, an alias's, or the mapping's."""
    if benchmark in round_.models:
        return benchmark
    return round_.aliases.get(benchmark) or mapping.get(benchmark) or benchmark


def open_name(round_: Round, benchmark: str, mapping: dict[str, str]) -> str:
    """Return the model that a folder of the open division stands for.

    Beyond `checker_name`, the checker takes any name with one of these words in it for that model
    (submission_checker, configuration.py, `get_mlperf_model`).
    """
    name = checker_name(round_, benchmark, mapping)
    if name in round_.models or name in round_.others:
        return name
    guesses = (model for word, model in _GUESSES.items() if word in name)
    return next(guesses, name)


_GUESSES = {
    "mobilenet": "resnet",
    "efficientnet": "resnet",
    "resnet50": "resnet",
    "bert-99.9": "bert-99.9",
    "bert-99": "bert-99",
    "llama3_1-405b": "llama3.1-405b",
}


def _within(version: str, bounds: tuple[str, str]) -> bool:
    return _numbers(bounds[0]) <= _numbers(version) <= _numbers(bounds[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
