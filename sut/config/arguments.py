"""What the user typed: the command line of a verb that runs a system, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from scenarios.base import Load
from sut.record.thinning import DEFAULT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from backends.base import OptionValue
    from data.harness_defaults import BatchSize, QueueDelay

Mode = Literal["performance", "accuracy", "submission"]
MODES: tuple[Mode, ...] = get_args(Mode)
# How samples travel to the nodes: as they are, compressed without loss, or as image files.
Travel = Literal["raw", "lossless", "jpeg"]
TRAVELS: tuple[Travel, ...] = get_args(Travel)


@dataclass(frozen=True, slots=True)
class Arguments:
    """`sut run` as the user typed it; None and empty mean: not given."""

    benchmark: str
    scenario: str
    mode: Mode = "performance"
    system: str | None = None
    backend: str | None = None
    model: Path | None = None
    resolution: str | None = None
    pixels: bool | None = None
    data: Path | None = None
    user_conf: Path | None = None
    strict_conf: bool = False
    round: str = "current"
    load: Load = field(default_factory=Load)
    workers: str | None = None
    devices: tuple[str, ...] | None = None
    instances: int | None = None
    max_batch_size: BatchSize | None = None
    device_max_batch_size: Mapping[str, int] | None = None
    max_queue_delay_us: QueueDelay | None = None
    postprocess_threads: int | None = None
    slots: int | None = None
    affinity: str | None = None
    backend_options: Mapping[str, OptionValue] = field(default_factory=dict)
    cluster: Path | None = None
    network: Travel | None = None
    audit_config: Path | None = None
    loadgen_trace: bool = False
    trace_bytes: float | None = DEFAULT_BYTES
