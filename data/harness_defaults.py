"""Harness settings as a benchmark, a system or tuned.yaml may give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from data.strict_yaml import Positive, StrictStruct

# How long a sample may wait for its batch to fill, in us; "late" closes each batch when its device
# is about to be free.
QueueDelay = int | Literal["late"]


# The largest batch, in samples; "auto": warm-up finds it from the times of batches and the bound.
BatchSize = int | Literal["auto"]


class HarnessDefaults(StrictStruct, frozen=True):
    """Harness settings, unless the command line or a system file has others.

    Attributes:
        max_batch_size: samples; "auto": warm-up chooses it.
        device_max_batch_size: samples, for devices with smaller batches.
        max_queue_delay_us: how long the oldest sample may wait for its batch to fill; "late" closes
            a batch when its device is about to be free.
        slots: batches in flight per worker.
        instances: workers per device; "cores": one for each CPU core that the process may use.
        workers: the kind of worker.
        postprocess_threads: of a worker, that make a batch's boxes while the device runs the next
            batch; "auto": one for each CPU core that the worker has.
        backend_options: options of the backend by name, such as intra_op_threads.
    """

    max_batch_size: Positive | Literal["auto"] | None = None
    device_max_batch_size: Mapping[str, Positive] | None = None
    max_queue_delay_us: Annotated[int, Meta(ge=0)] | Literal["late"] | None = None
    slots: Positive | None = None
    instances: Positive | Literal["cores"] | None = None
    workers: Literal["inline", "thread", "process"] | None = None
    postprocess_threads: Positive | Literal["auto"] | None = None
    backend_options: Mapping[str, str | int | float | bool] = {}
