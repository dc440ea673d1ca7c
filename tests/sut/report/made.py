"""Folders to report on, with figures of our own: a run, a sweep, a tuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from msgspec import structs

from sut.record.result import SCHEMA, Recorded, Result, Tail, decode, to_dict
from sut.record.table import PARTS, Row, Table, encode
from sut.record.trace import Close, Trace
from sut.report import tuning
from sut.report.tuning_story import Story
from sut.serve.service_times import Measured, Point
from sut.tuner.job import Bound, Candidate, Job, Variant
from sut.tuner.messages import Answer, Curve, Measure, Outcome, Predicted, Trial

if TYPE_CHECKING:
    from sut.tuner.messages import Ask, Reply

MS = 1_000_000
_SUMMARY = Path(__file__).parents[1] / "record" / "summary_schema_1.json"
TAIL = Tail(
    percentile=0.99, latency_ns=4.0 * MS, samples=3, issue_ns=0.5 * MS, batch_ns=0.4 * MS,
    others_ns=0.3 * MS, transfer_ns=0.2 * MS, compute_ns=2.5 * MS, answer_ns=0.1 * MS,
    compute_ratio=1.0, after_stalls=0.0, held_back={},
)  # fmt: skip


def result(**changes: object) -> Result:
    """A Server run of 300 samples on simulated devices."""
    old = decode(_SUMMARY.read_bytes(), "summary")
    whole = Recorded(batches=old.batches.count, queries=300, one_in=1, parts_from_samples=300)
    return structs.replace(old, **{"schema": SCHEMA, "tail": TAIL, "trace": whole, **changes})


def trace(count: int = 300) -> Trace:
    """Queries of one sample each ms, answered in pairs: the second after 3 ms, the first after 4.

    Times are unlike zero, as those of a monotonic clock.
    """
    start = 10_000 * MS
    arrivals = start + MS * np.arange(count, dtype=np.int64)
    pairs = arrivals.reshape(-1, 2)
    closed = pairs[:, 1]
    fixed = np.ones(len(pairs), np.int64)
    batches = {
        "first_sample": 2 * np.arange(len(pairs)),
        "samples": 2 * fixed,
        "worker": 0 * fixed,
        "why": Close.FULL.value * fixed,
        "oldest_ns": pairs[:, 0],
        "closed_ns": closed,
        "started_ns": closed,
        "finished_ns": closed + 3 * MS,
        "completed_ns": closed + 3 * MS,
    }
    return Trace(batches, {"arrival_ns": arrivals, "samples": np.ones(count, np.int64)})


def run_folder(folder: Path, **changes: object) -> Path:
    """Write what a run leaves and a page shows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(to_dict(result(**changes))), "utf-8")
    trace().save(folder / "batches.npz")
    config = {
        "harness": {"max_batch_size": {"value": 8, "source": "command line"}},
        "loadgen": {"target_latency": {"value": 15, "source": "round current"}},
        "model": {"sha256": "ab" * 32, "origin": "made here"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    machine = {"machine": {"cpu": "a <fast> one", "memory_bytes": 2**30}, "engines": [{"a": 1}]}
    (folder / "environment.json").write_text(json.dumps(machine), "utf-8")
    lines = ["time_s,device,power_w", *(f"{k / 10},0,{40 + k}" for k in range(-5, 10))]
    (folder / "telemetry.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "mlperf_log_detail.txt").write_text(
        ':::MLLOG {"key": "test_datetime", "value": "2026-11-28T22:12:09Z"}\n', "utf-8"
    )
    return folder


def row(axis: str, value: int, rate: float, p99_ms: float, **more: float) -> Row:
    """A point with all parts of its latency."""
    shares = dict(zip(PARTS, (0.01, 0.5, 0.04, 0.4, 0.05), strict=True))
    mean_ns = 0.7 * p99_ms * MS
    figures = {
        "samples_per_s": rate, "spread": 0.012, "latency_mean_ns": mean_ns,
        "latency_p50_ns": 0.9 * mean_ns, "latency_p90_ns": 1.2 * mean_ns,
        "latency_p99_ns": p99_ms * MS, "requests": 500.0, "duration_s": 3.0, "little": 1.001,
        **{f"{name}_ns": share * mean_ns for name, share in shares.items()}, **more,
    }  # fmt: skip
    return Row(point={axis: value}, figures=figures)


def table(title: str = "a sweep", load: str = "offline", speed: float = 1.0) -> Table:
    """Eleven batches from 1 to 1024: S(b) = 1 ms + 0.1 ms b; p99 is 5 % more."""
    axis = "batch" if load == "offline" else "concurrency"
    rows = []
    for k in range(11):
        size = 2**k
        service_ms = (1.0 + 0.1 * size) / speed
        rows.append(row(axis, size, size / service_ms * 1e3, 1.05 * service_ms))
    return Table(
        title=title, source="sut sweep", load=load, configuration={"Backend": "torch"},
        identity={"model": "ab" * 32}, environment={"cpu": "some"}, command="sut sweep <all>",
        started="2026-11-28T22:00:00+00:00", rows=tuple(rows),
    )  # fmt: skip


def table_folder(folder: Path, made: Table) -> Path:
    """Write a table."""
    folder.mkdir(parents=True)
    (folder / "table.json").write_bytes(encode(made))
    return folder


def story(*, finished: bool = True) -> Story:
    """A tuning of two probes and a confirmation."""
    variant = Variant()
    service = {size: Point(size * MS / 10 + MS, size * MS / 10 + MS, size * MS / 9 + MS)
               for size in (1, 8, 24, 32)}  # fmt: skip
    more = {24: service.pop(24)}  # measured later, near the answer
    candidate = Candidate(32, 2_000, 2, "process", variant)
    runs: list[tuple[Ask, Reply]] = [
        (Measure(variant, (1, 8, 32)), Measured((("0", service),), notes=("a noisy machine",))),
        (Measure(variant, (24,)), Measured((("0", more),))),
    ]
    for purpose, rate, p99_ms in (("probe", 900.0, 9.0), ("probe", 990.0, 16.0),
                                  ("confirm", 950.0, 12.0)):  # fmt: skip
        latency = dict.fromkeys(("mean", "p50", "p90", "p95", "p97", "p99"), p99_ms * MS)
        outcome = Outcome(valid=p99_ms < 15, metric=rate, samples=1_000, latency_ns=latency,
                          over=3, histogram={32: 30}, seconds=1.0)  # fmt: skip
        runs.append((Trial(purpose, candidate, 1.0, rate), outcome))  # type: ignore[arg-type]  # one of three words
    confirmed = runs[-1][1]
    assert isinstance(confirmed, Outcome)
    answer = Answer(
        candidate, (confirmed,), True, 950.0, 0.97, (Predicted(candidate, 1_000.0, MS, 1_010.0),),
        Curve(((900.0, 8e6), (990.0, 14e6)), ((900.0, 9e6), (990.0, 16e6)),
              ((900.0, 9e6, "probe"), (950.0, 12e6, "confirm"))),
        ("one note",), (("p99 12 <= 15 ms", 0.2),),
    )  # fmt: skip
    return Story(
        title="resnet50 Server on mine", command="sut tune", started="2026-11-28T22:00:00+00:00",
        simulated=True, configuration={"slots": ("2", "default")}, environment={"cpu": "some"},
        job=Job("Server", (Bound("p99", 15.0 * MS, 0.99),)), entries=runs,
        answer=answer if finished else None, stopped="" if finished else "device 1 died",
    )  # fmt: skip


def tuning_folder(folder: Path, *, finished: bool = True) -> Path:
    """Write what a tuning leaves."""
    folder.mkdir(parents=True)
    tuning.write(folder, story(finished=finished))
    return folder
