"""Whether a GPU is there and how much of its memory is free, as NVML says; makes no context."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sut.telemetry.nvml import NvmlError, NvmlMeter, meters, open_nvml

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sut.telemetry.nvml import Nvml

    Open = Callable[[], AbstractContextManager[Nvml]]


def free_bytes(device: str, open_: Open = open_nvml) -> int | None:
    """Return the free memory of the GPU that CUDA calls `device`, in bytes; None: unknown."""
    try:
        with open_() as nvml:
            return _meter(nvml, device).free_bytes()
    except NvmlError:
        return None


def is_gone(device: str, open_: Open = open_nvml) -> str | None:
    """Return why a GPU is not there any more; None: it is, or nobody can tell."""
    if not device.isdecimal():
        return None
    try:
        with open_() as nvml:
            try:
                free = _meter(nvml, device).free_bytes()
            except NvmlError as error:
                return str(error)
    except NvmlError:  # no NVML: it knows nothing of any GPU
        return None
    return None if free is not None else "NVML has no answer from the GPU any more"


def _meter(nvml: Nvml, device: str) -> NvmlMeter:
    return meters(nvml, [device], os.environ.get("CUDA_VISIBLE_DEVICES"))[0]
