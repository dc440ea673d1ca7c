"""The most that a device can do: as published of it, or as measured, in a process of its own.

`python -m sut.sweep.devices.peak` reads a request; see sut.base.subprocess_call.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from backends.peaks import published
from sut.base.environment import physical_cores
from sut.base.errors import SutError
from sut.base.subprocess_call import answer_request, run_module
from sut.sweep.devices.roofline import Roof
from sut.telemetry.neighbours import Neighbours, disturbance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.sweep.devices.ways import Device

# Of one thread's block: far above any cache.
COPY_BYTES = 64 << 20
COPIES = 6
MEASURED_CPU = (
    "measured: products of matrices in ONNX Runtime, and a copy in memory, {threads} thread(s)"
)
BUSY = ", on a busy machine: it may be too low"
MEASURED_GPU = "measured: a matrix product and a copy in torch"
_PRECISIONS = {"cpu": ("fp32", "int8"), "gpu": ("fp32", "tf32", "bf16", "fp16")}


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure.

    Attributes:
        device: "cpu" or the number of a GPU.
        threads: of a CPU.
    """

    device: str
    threads: int


class Reply(msgspec.Struct, frozen=True):
    """What was measured: operations a second by precision, and bytes a second."""

    flops_per_s: dict[str, float]
    bytes_per_s: float


def roofs_of(
    device: Device, threads: int | None = None, *, has_torch: bool | None = None
) -> Mapping[str, Roof]:
    """Return the roof of a device by precision, measured if nothing is published; empty: unknown.

    Args:
        device: a CPU or a GPU.
        threads: of the engines on a CPU; None: one a physical core.
        has_torch: it can measure a GPU; None: if it is installed.
    """
    peak = None if device.is_cpu else published(device.product)
    if peak is not None:
        return {p: Roof(f, peak.bytes_per_s, peak.source) for p, f in peak.flops_per_s.items()}
    if has_torch is None:
        has_torch = find_spec("torch") is not None
    if not (device.is_cpu or has_torch):
        return {}
    asked = Request(device.name, threads or physical_cores())
    neighbours = Neighbours()
    try:
        text = run_module(
            "sut.sweep.devices.peak", msgspec.json.encode(asked), "measuring the peak"
        )
    except SutError:  # a roof is a help, not a result
        return {}
    found = msgspec.json.decode(text, type=Reply)
    how = MEASURED_CPU.format(threads=asked.threads) if device.is_cpu else MEASURED_GPU
    if device.is_cpu and disturbance(neighbours.cores()):
        how += BUSY
    return {p: Roof(f, found.bytes_per_s, how) for p, f in found.flops_per_s.items()}


def _measured(request: Request) -> Reply:
    if request.device == "cpu":
        from backends.onnxruntime.gemm import gemm_flops_per_s  # noqa: PLC0415 - it imports it

        flops = {p: gemm_flops_per_s(p, request.threads) for p in _PRECISIONS["cpu"]}
        return Reply(_known(flops), copy_bytes_per_s(request.threads))
    of_torch = import_module("backends.torch.gemm")
    flops = {p: of_torch.gemm_flops_per_s(p, request.device) for p in _PRECISIONS["gpu"]}
    return Reply(_known(flops), of_torch.copy_bytes_per_s(request.device))


def _known(found: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in found.items() if value is not None}


def copy_bytes_per_s(threads: int, size: int = COPY_BYTES, copies: int = COPIES) -> float:
    """Return the best rate of copies by all threads at once, reads and writes together, in bytes/s.

    Args:
        threads: each with blocks of its own.
        size: of a block, in bytes.
        copies: tries.
    """
    blocks = [(np.zeros(size, np.uint8), np.ones(size, np.uint8)) for _ in range(threads)]

    def copy(pair: Sequence[np.ndarray[tuple[int], np.dtype[np.uint8]]]) -> None:
        np.copyto(pair[0], pair[1])  # without the interpreter lock

    best_s = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(copies):
            start_s = time.monotonic()
            list(pool.map(copy, blocks))
            best_s = min(best_s, time.monotonic() - start_s)
    return 2 * size * threads / best_s


if __name__ == "__main__":
    sys.exit(answer_request(Request, _measured))
