"""The result of one test, from its trace, its events and LoadGen's logs.

Reads what the test left in its folder. Starts and prints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import msgspec

from data.accuracy import score
from scenarios import records, scenario
from scenarios.base import Capacity
from sut.base import environment
from sut.base.errors import WorkerError
from sut.record import loadgen_logs, slow_workers, stalls, summary, tail
from sut.record.client_parts import client_parts
from sut.record.result import STOPPED, Accuracy, HarnessFacts, Latency, Result
from sut.record.run_folder import ACCURACY_FILE, ACCURACY_LOG
from sut.run import network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from data.preprocess import SampleSet
    from scenarios.base import Detail, Scenario
    from sut.config.plan import Plan
    from sut.record.result import Tail
    from sut.record.trace import Trace
    from sut.run.supervisor import Supervisor
    from sut.telemetry.recorder import Seen


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Left:
    """What a test left behind.

    Attributes:
        folder: its run folder, with LoadGen's logs.
        trial: its process, which has ended or will end soon.
        trace: its batches.
        devices: what they reported.
        samples: None if the test needs none, or ended before it read them.
    """

    folder: Path
    trial: Supervisor
    trace: Trace
    devices: Seen
    samples: SampleSet | None


def facts(trial: Supervisor) -> list[dict[str, object]]:
    """Return the facts of the engines of a test; empty before they are open."""
    return cast("list[dict[str, object]]", trial.event("engines").get("facts", []))


def complete(plan: Plan, command: str, left: Left, *, accuracy: bool) -> Result:
    """Return the result of a complete test.

    Raises:
        DataError: LoadGen's logs are damaged.
        WorkerError: answers of an accuracy run are not numbers.
    """
    rules = scenario(plan.scenario)
    detail = loadgen_logs.read_detail(left.folder / loadgen_logs.DETAIL_FILE)
    reasons = tuple(str(reason) for reason in rules.reasons(detail))
    result = _common(plan, command, left, "accuracy" if accuracy else "performance")
    result = msgspec.structs.replace(result, valid=not reasons, reasons=reasons)
    bad = _not_finite(left.trial, result.samples)
    travelled = network.finding(counts(left.trial))
    if travelled is not None:
        result = msgspec.structs.replace(result, findings=(*result.findings, travelled))
    if accuracy:
        if bad is not None:
            raise WorkerError(bad)
        score, findings = _score(plan, left)
        return msgspec.structs.replace(
            result, accuracy=score, findings=(*result.findings, *findings)
        )
    return msgspec.structs.replace(
        result,
        metric=rules.metric(detail),
        latency_ns=Latency(**rules.latency_ns(detail)),
        tail=_tail(plan, left, rules, detail) if rules.has_bound else None,
        findings=(
            *((bad,) if bad else ()),
            *result.findings,
            *_disturbances(result.issue_stalls, rules, detail),
            *_slow_workers(plan, left),
        ),
    )


def interrupted(plan: Plan, command: str, left: Left, *, accuracy: bool) -> Result:
    """Return the result of a test that a signal or its caller ended early."""
    trial = left.trial
    result = _common(plan, command, left, "accuracy" if accuracy else "performance")
    after = f"after {result.duration_s:.1f} s of the test"
    if trial.interrupted is not None:
        name = trial.interrupted.name
        reason = f"Interrupted by {name} {after}."
    else:
        name = STOPPED
        reason = f"Stopped {after}: {trial.stopped}"
    return msgspec.structs.replace(result, interrupted=name, reasons=(reason,))


def _common(
    plan: Plan, command: str, left: Left, mode: Literal["performance", "accuracy"]
) -> Result:
    """Return what a complete and an interrupted test have in common; not valid yet."""
    trace, trial = left.trace, left.trial
    workers = [name for name, _ in plan.harness.worker_devices()]
    recorded = summary.recorded(trace)
    partial = summary.finding(recorded, trace)
    warm_up = trial.event("warm").get("capacity")
    return Result(
        benchmark=plan.benchmark.name,
        scenario=plan.scenario,
        mode=mode,
        round=plan.arguments.round,
        system=plan.system,
        backend=plan.harness.backend,
        simulated=any(bool(engine["simulated"]) for engine in facts(trial)),
        synthetic_data=left.samples is None or left.samples.synthetic,
        valid=False,
        interrupted=None,
        reasons=(),
        metric=None,
        latency_ns=summary.latency_ns(trace),
        samples=trace.total_samples,
        duration_s=summary.duration_s(trace),
        batches=summary.batches(trace),
        parts_ns=summary.parts_ns(trace),
        client_parts=client_parts(counts(trial)),
        harness=HarnessFacts(
            engine_busy_fraction=summary.busy_fractions(trace, workers),
            warm_up=None if warm_up is None else msgspec.convert(warm_up, Capacity),
        ),
        accuracy=None,
        device_telemetry=left.devices.telemetry,
        findings=(*left.devices.findings, *((partial,) if partial else ())),
        trace=recorded,
        issue_stalls=_in_issuing(stalls.find, plan, trace),
        closed_problems=tuple(plan.closed_problems()),
        versions=environment.versions(),
        command=command,
    )


def _in_issuing(
    find: Callable[[NDArray[np.int64], int, NDArray[np.bool_] | None], T],
    plan: Plan,
    trace: Trace,
) -> T | None:
    """Look for stalls, if LoadGen's thread only issues queries and runs no engine."""
    if scenario(plan.scenario).arrivals != "poisson" or plan.harness.workers == "inline":
        return None
    queries = int(trace.queries["samples"].sum())
    return find(trace.queries["arrival_ns"], queries, trace.follows())


def _disturbances(found: stalls.Stalls | None, rules: Scenario, detail: Detail) -> tuple[str, ...]:
    if found is None or not rules.has_bound:
        return ()
    line = stalls.finding(found, records.number(detail, "effective_target_latency_ns"))
    return (line,) if line else ()


def _slow_workers(plan: Plan, left: Left) -> tuple[str, ...]:
    """Name the workers that are slower than the others, or further away."""
    remote = plan.harness.remote
    if remote is not None and remote.travel is not None:
        return ()  # nodes make batches of their own sizes, which this trace does not have
    workers = [
        slow_workers.Worker(name, str(_kind(of_engine)))
        for (name, _), of_engine in zip(
            plan.harness.worker_devices(), facts(left.trial), strict=True
        )
    ]
    return slow_workers.findings(left.trace, workers)


def _kind(of_engine: Mapping[str, object]) -> object:
    """Return what the device of an engine is: a GPU's name, a curve, or CPU."""
    return of_engine.get("device") or of_engine.get("curve") or of_engine.get("provider")


def _tail(plan: Plan, left: Left, rules: Scenario, detail: Detail) -> Tail | None:
    """Split the latency at the percentile that the bound is for."""
    percentile = records.number(detail, "effective_target_latency_percentile")
    trace, harness = left.trace, plan.harness
    devices = [device for _, device in harness.worker_devices()]
    return tail.find(
        trace,
        tail.Around(
            percentile=percentile,
            latency_ns=rules.latency_ns(detail).get(f"p{100 * percentile:g}"),
            slots=harness.slots * len(devices),
            stall_ends_ns=_in_issuing(stalls.ends_ns, plan, trace),
            held_back=[left.devices.held_back.get(device) for device in devices],
        ),
    )


def counts(trial: Supervisor) -> Mapping[str, float]:
    """Return what the workers counted; empty before the end."""
    return cast("Mapping[str, float]", trial.event("done").get("counts", {}))


def _not_finite(trial: Supervisor, samples: int) -> str | None:
    """Return what it means that answers are not numbers; None if all are."""
    count = int(counts(trial).get("not_finite", 0))
    if not count:
        return None
    return (
        f"{count:,} of {samples:,} samples have NaN or infinity in the model's output, so their "
        "answers mean nothing. Check the model's weights and the preprocess steps; if it computes "
        "in fp16, try fp32."
    )


def _score(plan: Plan, left: Left) -> tuple[Accuracy | None, tuple[str, ...]]:
    """Judge the answers; write the line that MLPerf's script prints. Return findings, too."""
    samples = left.samples
    if samples is None or samples.labels is None:
        return None, ()
    found = score(left.folder / ACCURACY_LOG, samples.labels, plan.benchmark.accuracy)
    (left.folder / ACCURACY_FILE).write_text(found.line + "\n", encoding="utf-8")
    judged = Accuracy(
        metric=found.metric,
        value=found.value,
        target=found.target,
        n=found.n,
        good=found.good,
        interval_95=found.interval_95,
        verdict=found.verdict,
    )
    return judged, (found.finding,) if found.finding else ()
