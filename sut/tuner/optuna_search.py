"""Server in a wide space: Optuna proposes, the queue model judges, runs prove.

The usual search measures S(b) of every variant of the engines. This one measures only those that
Optuna asks for (Tree-structured Parzen Estimator, seeded, so the same answers lead to the same
questions). Optuna is an extra: pip install -e '.[tune]'.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sut.base.errors import ConfigError
from sut.tuner import predict, server, space
from sut.tuner.asking import measure
from sut.tuner.learnt import Learnt
from sut.tuner.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from optuna import Trial

    from backends.base import OptionValue
    from sut.serve.service_times import Measured
    from sut.tuner.job import Candidate, Job, Variant
    from sut.tuner.messages import Known, Say, Search

T = TypeVar("T")
# Proposals; at least a few for each variant.
_LEAST_PROPOSALS, _PROPOSALS_A_VARIANT, _MOST_PROPOSALS = 60, 4, 200
# Candidates whose prediction is refined, and repeated if runs differ from it.
_KEPT = 24
_SEED = 1


def search(job: Job, known: Known, say: Say) -> Search:
    """Search; see sut.tuner.server.search.

    Raises:
        ConfigError: Optuna is not installed.
        Unreachable: no setting meets the bounds.
    """
    optuna = _optuna()
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=_SEED, multivariate=True)
    )
    measured: dict[Variant, Measured] = {}
    model = Model(measured, job.bounds, job.confirm_s, known=known)
    ranking = predict.Ranking(job, model, Learnt())
    proposals = _LEAST_PROPOSALS + _PROPOSALS_A_VARIANT * len(job.space.variants)
    say(f"{len(job.space.variants)} variants of the engines: Optuna chooses which to measure")
    for _ in range(min(proposals, _MOST_PROPOSALS)):
        trial = study.ask()
        variant = _variant(trial, job.space.variants)
        if variant not in measured:
            measured[variant] = yield from measure(job, variant, job.space.sizes)
        candidate = _candidate(trial, job, model, variant)
        if candidate is not None:
            ranking.add([candidate])
        study.tell(trial, 0.0 if candidate is None else ranking.rate(candidate))
    found = [predicted.candidate for predicted in ranking.ranked()]
    say(f"{len(measured)} variants measured, {len(found)} settings predicted")
    rank = partial(predict.rank_only, job, model, found[:_KEPT])
    return (yield from server.settle(job, model, rank, say))


def _variant(trial: Trial, variants: Sequence[Variant]) -> Variant:
    """Let Optuna choose a variant, value by value if all combinations exist."""
    axes: dict[str, list[OptionValue]] = {"instances": [v.instances for v in variants]}
    for variant in variants:
        for key, value in variant.options:
            axes.setdefault(key, []).append(value)
    axes = {key: list(dict.fromkeys(values)) for key, values in axes.items()}
    if math.prod(map(len, axes.values())) != len(variants):
        return _one_of(trial, "variant", variants)
    chosen = {key: trial.suggest_categorical(key, values) for key, values in axes.items()}
    return next(
        v
        for v in variants
        if v.instances == chosen["instances"] and all(chosen[k] == x for k, x in v.options)
    )


def _candidate(trial: Trial, job: Job, model: Model, variant: Variant) -> Candidate | None:
    """Let Optuna choose batch size, delay and slots; None: the batch alone takes too long."""
    if job.space.batches:
        batch = trial.suggest_categorical("batch", list(job.space.batches))
    else:
        largest = int(min(job.space.largest_batch or math.inf, max(job.space.sizes)))
        batch = trial.suggest_int("batch", 1, largest, log=True)
    fills = _one_of(trial, "fills", space.delays_in_fills(job))
    slots = trial.suggest_categorical("slots", list(job.space.slots or space.MORE_SLOTS))
    if batch > model.measured[variant].largest or not space.leaves_room(job, model, variant, batch):
        return None
    made = space.with_batch(job, model, variant, batch)
    if not job.space.slots:
        slots += model.on_the_way(variant, batch)
    return replace(space.with_delay(job, model, made, fills), slots=slots)


def _one_of(trial: Trial, name: str, values: Sequence[T]) -> T:
    """Let Optuna choose a value of any type."""
    number: int = trial.suggest_categorical(name, list(range(len(values))))
    return values[number]


def _optuna() -> ModuleType:
    try:
        import optuna  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise ConfigError(
            "--search optuna needs the package optuna, which is not installed: pip install optuna, "
            "or use --search model."
        ) from error
    module: ModuleType = optuna
    module.logging.set_verbosity(module.logging.WARNING)
    return module
