"""What a run measured: one frozen structure for every reader, written as summary.json.

docs/run-folder.md lists the keys, which are the fields here. Only data.
"""

from __future__ import annotations

from typing import Literal

import msgspec

# Needed at run time: msgspec reads the annotations to decode a summary.json.
from scenarios.base import Capacity, Metric
from sut.base.errors import DataError
from sut.record.client_parts import ClientParts
from sut.record.device_telemetry import DeviceTelemetry
from sut.record.stalls import Stalls

# Grows when a key of summary.json changes its meaning. A file without this key has schema 1, where
# `latency_ns` and `parts_ns` were {} instead of null if nothing was completed.
SCHEMA = 2
PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99, "p999": 0.999}
# `interrupted` of a run that its caller ended, not a signal.
STOPPED = "stopped"

Mode = Literal["performance", "accuracy", "submission"]


class Latency(msgspec.Struct, frozen=True):
    """Latencies in ns: of a query in MultiStream, else of a sample."""

    mean: float
    p50: float
    p90: float
    p95: float
    p97: float
    p99: float
    p999: float

    def by_name(self) -> dict[str, float]:
        """Return them by name, such as "p99"."""
        found: dict[str, float] = msgspec.structs.asdict(self)
        return found


class Batches(msgspec.Struct, frozen=True):
    """The batches of a run.

    Attributes:
        count: how many.
        mean_size: in samples; 0.0 without any.
        histogram: batches by their size in samples.
        closed_by: batches by what closed them.
    """

    count: int
    mean_size: float
    histogram: dict[int, int]
    closed_by: dict[str, int]


class Part(msgspec.Struct, frozen=True):
    """One part of the latency, over all samples, in ns."""

    mean: float
    p50: float
    p99: float


class Parts(msgspec.Struct, frozen=True):
    """The way of a sample from IssueQuery to the return of QuerySamplesComplete.

    Attributes:
        queue: until its batch is closed.
        dispatch: until a worker takes the batch up.
        compute: the engine and the postprocess.
        completion: until QuerySamplesComplete has returned.
        total: all of it.
    """

    queue: Part
    dispatch: Part
    compute: Part
    completion: Part
    total: Part


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The latency at the percentile of the bound, in parts that add up to it; see sut.record.tail.

    Attributes:
        percentile: the bound's, such as 0.99.
        latency_ns: there, as LoadGen measured it, from the scheduled time.
        samples: around the percentile, which the parts are the mean of.
        issue_ns: until LoadGen's thread issued it.
        batch_ns: waiting for its batch to close, although a slot was free.
        others_ns: behind other batches: waiting for a free slot, or for an earlier batch of its
            device.
        transfer_ns: from a closed batch to its start on a free device.
        compute_ns: the engine and the postprocess.
        answer_ns: until QuerySamplesComplete has returned.
        compute_ratio: the time of their batches over the median of batches of the same size.
        after_stalls: share of them that arrived right after a stall of LoadGen's thread; None
            where stalls cannot be recognized.
        held_back: share of them whose device was held back while it computed, by reason, such as
            SwPowerCap.
    """

    percentile: float
    latency_ns: float
    samples: int
    issue_ns: float
    batch_ns: float
    others_ns: float
    transfer_ns: float
    compute_ns: float
    answer_ns: float
    compute_ratio: float
    after_stalls: float | None
    held_back: dict[str, float]


class Recorded(msgspec.Struct, frozen=True):
    """How much of a run its trace has.

    Attributes:
        batches: that are recorded.
        queries: that are recorded.
        one_in: of how many batches one is recorded, in blocks of consecutive ones; 1: all.
        parts_from_samples: samples that `parts_ns`, and `latency_ns` of an interrupted or accuracy
            run, are computed from.
    """

    batches: int
    queries: int
    one_in: int
    parts_from_samples: int


class HarnessFacts(msgspec.Struct, frozen=True):
    """What the harness knows about its workers.

    Attributes:
        engine_busy_fraction: share of the run in which the engine ran, by the worker's name.
        warm_up: what warm-up measured; None if the run ended earlier.
    """

    engine_busy_fraction: dict[str, float]
    warm_up: Capacity | None


class Accuracy(msgspec.Struct, frozen=True):
    """How good the answers were; see data.tasks.base.Score.

    Attributes:
        metric: the task's name for `value`.
        value: 0 to 1.
        target: the lowest accepted value; None: no target.
        n: samples judged.
        good: correct ones; None if a sample as a whole is neither right nor wrong.
        interval_95: both ends of the 95 % interval of `value`; None where none is known.
        verdict: `value` reaches the target; None without a target, or with too few samples.
    """

    metric: str
    value: float
    target: float | None
    n: int
    good: int | None
    interval_95: tuple[float, float] | None
    verdict: bool | None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run of any load.

    Attributes:
        schema: see SCHEMA.
        benchmark: its name.
        scenario: as LoadGen spells it.
        mode: a submission has the figures of its performance test and the accuracy of the other.
        round: name of MLPerf's rules.
        system: name or folder.
        backend: a key of backends.base.BACKENDS.
        simulated: no real engine ran.
        synthetic_data: no real data was used.
        valid: LoadGen says VALID, and logged no error.
        interrupted: the signal that ended the run early, or STOPPED; None for a complete run.
        reasons: why it is not valid, each with its remedy.
        metric: LoadGen's figure of the scenario; None in accuracy mode and when interrupted.
        latency_ns: as LoadGen measured it, from the scheduled time; in accuracy mode and when
            interrupted, from IssueQuery; None if nothing was completed.
        samples: completed.
        duration_s: from the first arrival to the last completion.
        batches: sizes, and what closed them.
        parts_ns: the parts of the latency; None if nothing was completed.
        client_parts: of the requests to a remote server; None without one.
        tail: what the latency at the bound is made of; None without a bound, and in results of
            older versions.
        harness: of the workers.
        accuracy: of an accuracy run with labels.
        device_telemetry: None if no device could be asked.
        findings: what makes the result doubtful, each with its remedy.
        trace: how much of the run is recorded; None in results of older versions.
        issue_stalls: of LoadGen's thread; None where they cannot be recognized.
        closed_problems: lines of user.conf that the closed division does not allow.
        versions: of the software, by name.
        command: repeats the run.
    """

    schema: int = SCHEMA
    benchmark: str
    scenario: str
    mode: Mode
    round: str
    system: str
    backend: str
    simulated: bool
    synthetic_data: bool
    valid: bool
    interrupted: str | None
    reasons: tuple[str, ...]
    metric: Metric | None
    latency_ns: Latency | None
    samples: int
    duration_s: float
    batches: Batches
    parts_ns: Parts | None
    harness: HarnessFacts
    accuracy: Accuracy | None
    device_telemetry: DeviceTelemetry | None = None
    findings: tuple[str, ...] = ()
    issue_stalls: Stalls | None = None
    client_parts: ClientParts | None = None
    tail: Tail | None = None
    trace: Recorded | None = None
    closed_problems: tuple[str, ...]
    versions: dict[str, str]
    command: str

    @property
    def rate(self) -> float:
        """Samples/s from the first arrival to the last completion; 0.0 without a sample."""
        return self.samples / self.duration_s if self.duration_s else 0.0


def to_dict(result: Result) -> dict[str, object]:
    """Return plain data for json.dumps, as in summary.json."""
    found: dict[str, object] = msgspec.to_builtins(result, str_keys=True)
    return found


def decode(text: bytes, where: str) -> Result:
    """Read the text of a summary.json, of this schema or an older one.

    Args:
        text: of the file.
        where: its path, for messages.

    Raises:
        DataError: it is not the result of a run, or its schema is newer than this program.
    """
    try:
        raw = msgspec.json.decode(text, type=dict[str, object])
        schema = raw.setdefault("schema", 1)
        if isinstance(schema, int) and schema > SCHEMA:
            raise DataError(
                f"{where}: schema {schema}; expected {SCHEMA} or less. Read it with the version of "
                "this program that wrote it, or a later one."
            )
        return msgspec.convert(_upgraded(raw) if schema == 1 else raw, Result, str_keys=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{where}: {error}; expected the result of `sut run`.") from error


def _upgraded(raw: dict[str, object]) -> dict[str, object]:
    """Return a summary of schema 1 in the form of schema 2; the value of `schema` stays."""
    empty = {key: None for key in ("latency_ns", "parts_ns") if raw.get(key) == {}}
    found = {**raw, **empty}
    harness = found.get("harness")
    if isinstance(harness, dict) and isinstance(warm_up := harness.get("warm_up"), dict):
        # The first versions did not record the fastest batch.
        rate = warm_up.get("samples_per_s")
        found["harness"] = {**harness, "warm_up": {"peak_samples_per_s": rate, **warm_up}}
    return found
