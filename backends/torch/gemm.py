"""Operations and bytes a second of torch on a GPU: a large product and a copy, by its own clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SIDE = 8192
COPY_BYTES = 1 << 30
ROUNDS = 20
MS_PER_S = 1e3
_TYPES: Mapping[str, str] = {
    "fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16",
}  # fmt: skip


def gemm_flops_per_s(precision: str, device: str) -> float | None:
    """Return the best of some products on a GPU; None: torch has no plain product for it."""
    import torch  # noqa: PLC0415 - slow to import, and only this backend needs it

    name = _TYPES.get(precision)
    if name is None:
        return None
    place = torch.device(f"cuda:{device}")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    left = torch.randn(SIDE, SIDE, device=place).to(getattr(torch, name))
    return 2 * SIDE**3 / _best_s(torch, place, lambda: left @ left)


def copy_bytes_per_s(device: str) -> float:
    """Return the best of some copies within a GPU's memory, reads and writes together."""
    import torch  # noqa: PLC0415 - slow to import, and only this backend needs it

    place = torch.device(f"cuda:{device}")
    source = torch.zeros(COPY_BYTES, dtype=torch.uint8, device=place)
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / _best_s(torch, place, lambda: target.copy_(source))


def _best_s(torch: Any, place: Any, work: Callable[[], object]) -> float:
    """Return the shortest of some runs, between two events of the device."""
    with torch.cuda.device(place):
        work()
        pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(ROUNDS)]
        for before, after in pairs:
            before.record()
            work()
            after.record()
        torch.cuda.synchronize(place)
        return float(min(before.elapsed_time(after) for before, after in pairs)) / MS_PER_S
