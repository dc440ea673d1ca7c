"""The options of the simulated backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from backends.simulated.jitter import Distribution  # msgspec reads the annotations

Count = Annotated[int, Meta(ge=1, le=1024)]
Milliseconds = Annotated[float, Meta(ge=0, le=60e3)]
Seconds = Annotated[float, Meta(ge=0)]
Watts = Annotated[float, Meta(ge=0, le=100e3)]
Share = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(gt=0, le=1000)]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the simulated backend. `NAME@DEVICE` sets one only for that device.

    S(b) is one of: `curve`, `table`, or `base_ms` and `per_sample_ms`.

    Attributes:
        curve: a curve that comes with this program, or a .csv file.
        curve_where: the lines of it to use: `gpu=T4,dataset=traffic`.
        table: points of S(b) in ms: `1:0.5,26:4.94`.
        base_ms: what every batch takes.
        per_sample_ms: what each sample of it adds.
        slow: factor on S(b): 2.0 is half as fast.
        slots: batches that may be in flight; the harness may use fewer.
        graph_sizes: the only batch sizes that it runs, as `1,8,26`, like an engine of CUDA graphs;
            max_batch_size is always one. Empty: it runs every size.
        copy_in_ms_per_sample: time to bring a sample to the device; overlaps other batches.
        copy_out_ms_per_sample: time to bring an answer back; overlaps other batches.
        jitter: distribution of the factor by which the times of equal batches differ.
        jitter_spread: its standard deviation.
        outlier_share: share of the batches that take `outlier_factor` times as long.
        outlier_factor: see `outlier_share`.
        tail_every: one batch in so many takes the 99th percentile that the curve's file has; the
            others are shorter by as much as keeps the mean.
        seed: of the jitter; each device has its own random numbers, which restart with `bind`.
        fail_at_s: the device fails this long after the first batch since `bind`.
        hang_at_s: the device stops answering this long after the first batch since `bind`.
        open_s: how long the device takes to open, in three steps.
        close_s: how long the device takes to close.
        power_w: what the device draws while it runs a batch, in W; without it, power is not told.
        idle_w: its power without a batch, in W.
        turnaround_us: what the curve's times already have of the host, from an answer to the next
            batch: the device does not wait for it. For curves of whole round trips.
        spin_us: spin instead of sleep for the last microseconds of a batch: exact, burns a core.
        shared: a file; engines in several processes that name the same one are one device.
    """

    curve: str | None = None
    curve_where: str = ""
    table: str | None = None
    base_ms: Milliseconds | None = None
    per_sample_ms: Milliseconds | None = None
    slow: Factor = 1.0
    slots: Count = 8
    graph_sizes: str | int = ""
    copy_in_ms_per_sample: Milliseconds = 0.0
    copy_out_ms_per_sample: Milliseconds = 0.0
    jitter: Distribution = "none"
    jitter_spread: Annotated[float, Meta(gt=0, le=1)] = 0.05
    outlier_share: Share = 0.0
    outlier_factor: Factor = 3.0
    tail_every: Annotated[int, Meta(ge=2, le=100)] | None = None
    seed: Annotated[int, Meta(ge=0)] = 0
    fail_at_s: Seconds | None = None
    hang_at_s: Seconds | None = None
    open_s: Seconds = 0.0
    close_s: Seconds = 0.0
    power_w: Watts | None = None
    idle_w: Watts = 0.0
    turnaround_us: Annotated[float, Meta(ge=0, le=10e3)] = 0.0
    spin_us: Annotated[float, Meta(ge=0, le=10e3)] = 0.0
    shared: str = ""
