"""Options on a GPU for every backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CudaOptions:
    """Options that every backend has on a GPU.

    Attributes:
        graph_sizes: batch sizes to make CUDA graphs for, as `1,8,26`; max_batch_size is always one.
            Empty: max_batch_size, its half, quarter and eighth, then quarters down to 1.
        cuda_graphs: launch a batch as one CUDA graph, where the model can be kept as one.
        gather: how scattered samples reach the device: "kernel" reads them from pinned memory on
            the device; "copies" has the copy engine take each row of a large batch, which leaves
            the model all multiprocessors, for 4 us of the host a row; "staging" copies them
            together on the host first. "auto" takes copies for samples of 64 KiB or more, else the
            kernel.
        wait: a thread that waits for a batch sleeps ("block") or burns its core ("spin"), which
            saves 20 us a batch. "auto" spins where who asks only waits, and where the engine has
            four CPU cores or more; else it blocks.
        samples_on_device: keep the loaded samples in device memory. MLPerf's rules allow it only
            with a direct path from the network to the device; the result says so.
        fail_at_s: the device fails this long after the first batch, as a drill.
    """

    graph_sizes: str | int = ""
    cuda_graphs: bool = True
    gather: Literal["auto", "kernel", "copies", "staging"] = "auto"
    wait: Literal["auto", "block", "spin"] = "auto"
    samples_on_device: bool = False
    fail_at_s: float | None = None
