"""What a try does in tests: answers, or takes more memory than it may."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sut.sweep.tries.attempt import Attempt


def act(attempt: Attempt) -> dict[str, Any]:
    """Allocate what is asked for, after the barrier."""
    start_ns = attempt.at_barrier()
    late_ns = time.monotonic_ns() - start_ns
    kept = bytearray(b"x") * attempt.request.arguments["bytes"]
    mps = os.environ.get("CUDA_MPS_PIPE_DIRECTORY")
    return {"start_ns": start_ns, "late_ns": late_ns, "kept": len(kept), "mps": mps}
