"""One submission from order to tree: run missing tests, verify, write the tree, report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.ticker import ticking
from sut.serve.workers.keeper import Keeper
from sut.submission.audit import verify
from sut.submission.conf import sample_count
from sut.submission.order import WITHOUT_ENGINE
from sut.submission.runs import ACCURACY, PERFORMANCE, ScenarioRuns
from sut.submission.tree import check_tree, place_results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scenarios.base import Metric
    from sut.submission.order import Order
    from sut.submission.runs import Part


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one scenario.

    Attributes:
        scenario: as LoadGen spells it.
        placed: it is in the tree.
        problems: why it is not, or with --fast why it must not be submitted.
        metric: LoadGen's figure, or None.
        parts: tests that are done.
    """

    scenario: str
    placed: bool
    problems: list[str]
    metric: Metric | None
    parts: tuple[str, ...]


def submit(order: Order, say: Callable[[str], None]) -> list[Outcome]:
    """Make or complete a submission; return the outcome of each scenario.

    Raises:
        ConfigError: the order is impossible; nothing was run or written.
        SutError: a test failed, or the tree cannot be written; the finished runs are kept.
    """
    check_tree(order)
    small = _small(order)
    runs = {name: ScenarioRuns(order, name, say) for name in order.scenarios}
    for each in runs.values():  # find a wrong setting before an hour is spent
        each.plan(None, PERFORMANCE)
    with Keeper() as keeper:
        for each in runs.values():
            each.run_missing(keeper)
    with ticking("checking the tests and writing the tree", say):
        return _placed(order, runs, small)


def _placed(order: Order, runs: Mapping[str, ScenarioRuns], small: Sequence[str]) -> list[Outcome]:
    """Put into the tree what may go there; return the outcome of each scenario."""
    outcomes, done = [], {}
    for name, each in runs.items():
        parts = {part: found for part in each.parts() if (found := each.done(part))}
        problems = _problems(order, each, parts)
        placed = not problems or (order.fast and not each.missing())
        if placed:
            done[name] = parts
        metric = parts[PERFORMANCE].result.metric if PERFORMANCE in parts else None
        outcomes.append(Outcome(name, placed, [*problems, *small], metric, tuple(parts)))
    if done:
        place_results(order, done)
    return outcomes


def _small(order: Order) -> list[str]:
    """Return a warning if the data set is smaller than the round's, which the checkers refuse."""
    if order.stand_in:
        return []
    count, wanted = sample_count(order), order.rules.dataset_size
    if count >= wanted:
        return []
    said = order.small_data or order.fast
    how = (
        "user.conf states the round's counts anyway"
        if said
        else "the official checkers refuse that; give --data DIR, or state the counts: --small-data"
    )
    return [f"The data set has {count} samples, and {order.rules.name} has {wanted}: {how}."]


def _problems(order: Order, runs: ScenarioRuns, parts: dict[str, Part]) -> list[str]:
    """Return why a scenario cannot go into the tree."""
    found = []
    for name in runs.parts():
        part = parts.get(name)
        if part is None:
            found.append(f"{name} is not done: {_why_not(runs, name)}")
            continue
        found += [f"{name}: {reason}" for reason in part.result.reasons]
        if not order.stand_in:
            found += _not_real(part)
    if found:
        return found
    accuracy = parts[ACCURACY].result.accuracy
    if accuracy is None:
        return ["accuracy: no figure was computed, so accuracy.txt cannot be written."]
    if order.closed and 100 * accuracy.value < order.rules.target:
        found.append(
            f"accuracy: {100 * accuracy.value:.3f} % is below the target of "
            f"{order.rules.target:.4f} %. Correct model, preprocessing or labels."
        )
    for test in order.audits:
        audit = verify(test, parts, order.benchmark, order.data)
        found += audit.notes if not audit.passed else []
    return found


def _not_real(part: Part) -> list[str]:
    if part.result.simulated or part.result.backend in WITHOUT_ENGINE:
        return [f"{part.name}: measured without a real engine; it cannot be submitted."]
    if part.result.synthetic_data:
        return [f"{part.name}: measured with synthetic data; give --data DIR."]
    return []


def _why_not(runs: ScenarioRuns, name: str) -> str:
    """Return why a complete test is not valid."""
    reasons = runs.reasons(name)
    return " ".join(reasons) if reasons else "it is not complete. Run the command again."
