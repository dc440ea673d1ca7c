"""The figures of a play: rates, latencies from the due time, drops, and where the time went.

Percentiles are LoadGen's: the element at the place share * n of the sorted values
(loadgen/results.cc). Knows no device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sut.serve.queue_model import percentile_ns
from sut.video.flow.flight import DECODE, PREPARE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sut.record.trace import Window
    from sut.video.flow.play import Played
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.stage import Stage, Work

    Rows = NDArray[np.int64]

_MS, _S = 1e6, 1e9
_NUMBER, _DUE, _DONE = 0, 1, 2
_FIRST_PART = 3
_SHARES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
_LOW_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Frames:
    """Delivered frames of all streams, in the window.

    Attributes:
        stream: [F] of each frame.
        rows: [F, 3 + parts]: number, due, done, then the time of each part; ns.
    """

    stream: NDArray[np.int64]
    rows: Rows

    @property
    def done_ns(self) -> Rows:
        """When the sink returned."""
        done: Rows = self.rows[:, _DONE]
        return done

    @property
    def latencies_ns(self) -> Rows:
        """From the due time to the return of the sink."""
        latencies: Rows = self.rows[:, _DONE] - self.rows[:, _DUE]
        return latencies

    @property
    def parts_ns(self) -> Rows:
        """[F, parts]."""
        return self.rows[:, _FIRST_PART:]


def frames_of(played: Played) -> Frames:
    """Return the frames that were delivered in the window."""
    tables = [record.table(len(played.names.all)) for record in played.records]
    rows = np.concatenate(tables)
    counts = [len(table) for table in tables]
    stream = np.repeat([record.stream for record in played.records], counts)
    inside = (rows[:, _DONE] > played.window.start_ns) & (rows[:, _DONE] <= played.window.end_ns)
    return Frames(stream[inside], rows[inside])


def rate_of(record: StreamRecord, window: Window) -> float:
    """Return the frames a second that a stream delivered.

    A stream whose clip ended is measured to its end; one that broke or stalls, to that of the play.
    """
    rows = record.table(0) if not record.rows else np.array(record.rows, np.int64)
    end_ns = window.end_ns
    if record.problem is None and record.ended_ns:
        end_ns = min(end_ns, record.ended_ns)
    done = rows[:, _DONE]
    inside = int(((done > window.start_ns) & (done <= end_ns)).sum())
    return inside * _S / (end_ns - window.start_ns) if end_ns > window.start_ns else 0.0


def figures(played: Played, stages: Sequence[Stage]) -> dict[str, object]:
    """Return the figures of a play, by name with its unit."""
    frames = frames_of(played)
    rates = np.sort([rate_of(record, played.window) for record in played.records])
    seconds = played.window.seconds
    latencies = np.sort(frames.latencies_ns)
    found: dict[str, object] = {
        "streams": len(played.records),
        "seconds": seconds,
        "frames": len(latencies),
        "fps": len(latencies) / seconds if seconds > 0 else 0.0,
        "fps_per_stream_mean": float(rates.mean()),
        "fps_per_stream_worst": float(rates[0]),
        "fps_per_stream_p5": float(rates[int(_LOW_SHARE * len(rates))]),
        **{f"latency_{name}_ms": _at(latencies, share) for name, share in _SHARES.items()},
        "latency_max_ms": float(latencies[-1]) / _MS if len(latencies) else None,
        **_counts(played.records),
        "cpu_cores": played.cpu_s / seconds if seconds > 0 else 0.0,
        "readers_cpu_cores": played.readers_cpu_s / seconds if seconds > 0 else 0.0,
        "parts_ms": parts(frames, played.names.all),
        "unaccounted_max_ms": unaccounted_ms(frames),
        "stages": {stage.name: _stage(stage, played.work[stage.name], seconds) for stage in stages},
        "host_share": _host_share(frames, played),
        "reader_share": _reader_share(frames, played),
        "interpreter_share": played.lock_share,
        "readers_interpreter_share": played.readers_lock_share,
    }
    return found


def parts(frames: Frames, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return mean and p99 of each part of a frame's time, in ms; the means add up to the latency.

    A frame that does not pass a stage spends no time there.
    """
    if not len(frames.rows):
        return {}
    table = frames.parts_ns
    ordered = np.sort(table, axis=0)
    return {
        name: {
            "mean": float(table[:, place].mean()) / _MS,
            "p99": percentile_ns(ordered[:, place], _SHARES["p99"]) / _MS,
        }
        for place, name in enumerate(names)
    }


def unaccounted_ms(frames: Frames) -> float:
    """Return by how much, at most, a frame's latency and the sum of its parts differ.

    A part that ends before it begins is a mistake of a clock, and counts with its size.
    """
    if not len(frames.rows):
        return 0.0
    difference = np.abs(frames.latencies_ns - frames.parts_ns.sum(axis=1))
    backwards = -np.minimum(frames.parts_ns, 0).sum(axis=1)
    return float(np.maximum(difference, backwards).max()) / _MS


def _counts(records: Sequence[StreamRecord]) -> dict[str, object]:
    names = ("decoded", "taken", "inferred", "delivered", "dropped_full", "dropped_late", "boxes")
    found: dict[str, object] = {
        name: sum(getattr(record, name) for record in records) for name in names
    }
    found["dropped"] = sum(record.dropped for record in records)
    for what in ("crops", "left_out"):
        total: dict[str, int] = {}
        for record in records:
            for stage, count in getattr(record, what).items():
                total[stage] = total.get(stage, 0) + count
        found[f"crops_{what}" if what == "left_out" else what] = total
    return found


def _stage(stage: Stage, work: Work, seconds: float) -> Mapping[str, object]:
    batch = work.samples / work.batches if work.batches else 0.0
    return {
        "batches": work.batches,
        "samples": work.samples,
        "batch_mean": batch,
        "batch_fill": batch / stage.max_batch_size,
        "samples_per_s": work.samples / seconds if seconds > 0 else 0.0,
        "utilisation": work.busy_ns / _S / seconds / stage.workers if seconds > 0 else 0.0,
        "batch_ms": work.busy_ns / _MS / work.batches if work.batches else None,
        "queue_mean_ms": work.queue_ns / _MS / work.queries if work.queries else None,
        "queue_max_ms": work.longest_queue_ns / _MS,
    }


def _host_share(frames: Frames, played: Played) -> float:
    """Return the share of the host threads' time in which they served streams."""
    names = played.names
    own = [
        place
        for place, name in enumerate(names.all)
        if name.endswith((" prepare", " read", "track", "sink"))
    ]
    reader = names.of_stage(0, PREPARE)  # the reader's thread makes the first input
    busy_ns = frames.parts_ns[:, [place for place in own if place != reader]].sum()
    seconds = played.window.seconds
    return float(busy_ns) / _S / seconds / played.host_threads if seconds > 0 else 0.0


def _reader_share(frames: Frames, played: Played) -> float:
    """Return the share of its time in which the busiest reader decodes and makes inputs."""
    names = played.names
    own = [names.index(DECODE), names.of_stage(0, PREPARE)]
    busy = [
        frames.parts_ns[frames.stream == record.stream][:, own].sum() for record in played.records
    ]
    return float(max(busy)) / _S / played.window.seconds if played.window.seconds > 0 else 0.0


def _at(ascending: Rows, share: float) -> float | None:
    return percentile_ns(ascending, share) / _MS if len(ascending) else None
