"""Replies to a search with the real program: measures S(b), and runs LoadGen tests as trials.

Each has its own process. Knows plans, run folders and results; chooses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from backends.ladder import sizes_text
from scenarios import scenario
from sut.base.errors import SutError
from sut.base.subprocess_call import TrialFailed, run_module
from sut.base.ticker import doing
from sut.config.cluster import is_of_this_machine
from sut.config.harness import HARNESS, Setting, given, harness_of
from sut.config.prepare import prepared_workload
from sut.record import trace_facts as trace
from sut.record import trace_reader
from sut.record.loadgen_logs import DETAIL_FILE, read_detail
from sut.record.run_folder import BATCHES_FILE, LOG_FILE
from sut.run.hopeless import Hopeless
from sut.run.run import Interrupted, run
from sut.serve.measure import Request
from sut.serve.service_times import Measured
from sut.telemetry.neighbours import disturbance
from sut.tuner.messages import Measure, Outcome, Trial
from sut.tuner.nodes import MeasuredNodes
from sut.tuner.space import USUAL_SLOTS

if TYPE_CHECKING:
    from pathlib import Path

    from sut.config.cluster import Remote
    from sut.config.plan import Plan
    from sut.record.result import Result
    from sut.serve.workers.keeper import Keeper
    from sut.telemetry.neighbours import Neighbours, Quiet
    from sut.tuner.job import Job, Variant
    from sut.tuner.messages import Ask, Reply

TRIALS = "trials"
# Least number of queries in a probe, which early stopping does not judge.
_PROBE_QUERIES = 100
# Options of the load that a trial decides.
_DECIDED_LOAD = ("min_duration_s", "target_qps", "min_query_count")
_DECIDED_BY = "sut tune"


@dataclass(frozen=True, slots=True)
class Place:
    """Where trials run, and what they share.

    Attributes:
        folder: of the tuning; keeps the trials.
        command: of the tuning.
        quiet: how to wait for a quiet machine.
        keeper: keeps the worker processes of probes.
    """

    folder: Path
    command: str
    quiet: Quiet
    keeper: Keeper


class TrialRunner:
    """Replies to one search.

    Probes share kept workers, here and on nodes. A confirmation gets new ones, as the user's own
    run will.
    """

    def __init__(self, job: Job, plan: Plan, place: Place) -> None:
        self._job = job
        self._plan = plan
        self._folder = place.folder
        self._command = place.command
        self._keeper = place.keeper
        self._quiet = replace(place.quiet, own_s=place.keeper.busy_s)
        self._measured: dict[Variant, Measured] = {}

    def __call__(self, ask: Ask) -> Reply:
        """Measure, or run a trial; once more if it was disturbed (a trial: and INVALID).

        Raises:
            TrialFailed: a trial ended without a result; earlier ones are kept.
            Interrupted: by a signal during a test; its results so far are kept.
            KeyboardInterrupt: by a signal at another time.
        """
        if isinstance(ask, Measure):
            return self._measure(ask)
        outcome = self._run(ask)
        if outcome.is_disturbed and not outcome.valid and self._quiet.limit_s:
            again = self._run(ask)
            return min(outcome, again, key=lambda run: (len(run.disturbances), run.stalled))
        return outcome

    def learn(self, ask: Ask, reply: Reply) -> None:
        """Note a reply from the journal."""
        if isinstance(ask, Measure) and isinstance(reply, Measured):
            known = self._measured.get(ask.variant)
            self._measured[ask.variant] = known.with_more(reply) if known else reply

    def _others(self, neighbours: Neighbours) -> float | None:
        """Return the cores that others used; None: unknown.

        What nodes on this machine run is not ours by its processes, and would count as others'.
        """
        remote = self._plan.harness.remote
        if remote is not None and any(is_of_this_machine(node.address) for node in remote.nodes):
            return None
        return neighbours.cores()

    def _measure(self, ask: Measure) -> Measured:
        measured, others = self._measure_once(ask)
        if disturbance(others) and self._quiet.limit_s:
            again = self._measure_once(ask)
            measured, others = min((measured, others), again, key=lambda pair: pair[1] or 0.0)
        if not (loud := disturbance(others)):
            return measured
        note = f"S(b) may be too high: {loud} meanwhile. Measure it on a quiet machine."
        return replace(measured, notes=(*measured.notes, note))

    def _measure_once(self, ask: Measure) -> tuple[Measured, float | None]:
        """Measure S(b); return it with the cores that others used meanwhile."""
        self._wait_for_others()
        plan, typed = self._plan, self._plan.arguments
        ladder = {"graph_sizes": sizes_text(ask.sizes)} if ask.has_ladder else {}
        harness = replace(
            plan.harness,
            instances=ask.variant.instances,
            backend_options={**plan.harness.backend_options, **dict(ask.variant.options), **ladder},
            slots=USUAL_SLOTS,
        )
        workload = prepared_workload(plan.benchmark, harness.backend, typed.model, typed.data)
        request = Request(workload, harness, ask.sizes, ask.bound_ns, ask.alone)
        self._keeper.rest()  # the devices are measured from another process
        neighbours = self._quiet.watch()
        answer = run_module(
            "sut.serve.measure", msgspec.json.encode(request), "measuring batch times"
        )
        return msgspec.json.decode(answer, type=Measured), self._others(neighbours)

    def _wait_for_others(self) -> None:
        with doing("waiting until others leave the machine"):
            self._quiet.wait()

    def _run(self, trial: Trial) -> Outcome:
        self._wait_for_others()
        trials = self._folder / TRIALS
        trials.mkdir(exist_ok=True)
        numbers = [int(path.name) for path in trials.iterdir() if path.name.isdecimal()]
        out = trials / f"{max(numbers, default=0) + 1:03}"
        watch = None
        if self._job.rules.has_bound:
            watch = Hopeless(self._job.bound.limit_ns)
        if trial.purpose == "confirm":
            self._keeper.dismiss()
        plan, keeper = plan_of(trial, self._plan), self._keeper
        neighbours = self._quiet.watch()
        try:
            result = run(plan, out, self._command, watch=watch, quiet=True, keeper=keeper)
        except Interrupted:
            raise
        except SutError as error:
            raise TrialFailed(_failure(trial, error, out)) from error
        return self._outcome(trial, result, out, self._others(neighbours))

    def _outcome(self, trial: Trial, result: Result, out: Path, others: float | None) -> Outcome:
        stopped = result.reasons[0] if result.interrupted else ""
        devices, stalls = result.device_telemetry, result.issue_stalls
        return Outcome(
            valid=result.valid,
            metric=result.metric.value if result.metric else result.rate,
            samples=result.samples,
            latency_ns=result.latency_ns.by_name() if result.latency_ns else {},
            over=None if stopped else read_detail(out / DETAIL_FILE).over_latency,
            histogram=result.batches.histogram,
            seconds=result.duration_s,
            stopped=stopped,
            trace_facts=self._trace_facts(trial, out),
            folder=f"{TRIALS}/{out.name}",
            reasons=result.reasons,
            busy=result.harness.engine_busy_fraction,
            others=others,
            stalled=stalls.share if stalls else 0.0,
            power_w=devices.most("average_power_w") if devices else None,
            memory_bytes=devices.most("memory_used_bytes") if devices else None,
        )

    def _trace_facts(self, trial: Trial, out: Path) -> trace.TraceFacts | None:
        variant = trial.candidate.variant
        if variant not in self._measured:
            return None
        found, candidate = self._measured[variant], trial.candidate
        nodes = MeasuredNodes.of(found)
        workers = [
            trace.Measured(
                curve,
                candidate.ladder(device),
                found.copy_in_ns,
                *(nodes.costs_ns(worker) if nodes is not None else ()),
            )
            for worker, (device, curve) in enumerate(found.curves)
        ]
        return trace.trace_facts(trace_reader.load(out / BATCHES_FILE).batches, workers)


def plan_of(trial: Trial, plan: Plan) -> Plan:
    """Return the plan of a trial: the system's, with the settings of the candidate."""
    candidate = trial.candidate
    load = replace(plan.arguments.load, min_duration_s=trial.seconds, target_qps=trial.target_qps)
    if trial.purpose != "confirm" and scenario(plan.scenario).has_bound:
        load = replace(load, min_query_count=_PROBE_QUERIES)
    wanted = {
        **given(candidate.harness(), HARNESS),
        "device_max_batch_size": dict(candidate.caps),
        "backend_options": {**plan.harness.backend_options, **candidate.options()},
    }
    decided = {name: Setting(value, _DECIDED_BY) for name, value in wanted.items()}
    settings = {**plan.settings, **decided}
    return replace(
        plan,
        arguments=replace(plan.arguments, load=load),
        harness=harness_of(settings, remote=_remote_of(trial, plan)),
        settings=settings,
        load_sources=dict.fromkeys(_DECIDED_LOAD, _DECIDED_BY),
    )


def _remote_of(trial: Trial, plan: Plan) -> Remote | None:
    """Return where the workers of a trial are; those of a confirmation are new."""
    remote = plan.harness.remote
    return None if remote is None else replace(remote, fresh=trial.purpose == "confirm")


def _failure(trial: Trial, error: SutError, out: Path) -> str:
    where = f" See its output in {out / LOG_FILE}." if (out / LOG_FILE).exists() else ""
    why = str(error).removesuffix(".")
    return (
        f"a {trial.purpose} run failed ({trial.candidate}): {why}.{where} Earlier "
        "results are kept; the same command continues from there."
    )
