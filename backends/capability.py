"""Which precisions a processor computes in, by the SM of a GPU: known before anything is opened.

Only a table. Which precisions a backend can ask of its library is the backend's own matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

How = Literal["tensor cores", "arithmetic", "none"]

# Every precision that is known here, the most exact one first.
PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "fp8", "int8", "fp4")

SOURCE = (
    "NVIDIA, CUDA C++ Programming Guide, Compute Capabilities: input types of tensor cores, and "
    "throughput of arithmetic instructions"
)
# By SM, what its tensor cores multiply. One that is not listed has none.
_TENSOR_CORES: Mapping[int, frozenset[str]] = {
    70: frozenset({"fp16"}),
    72: frozenset({"fp16", "int8"}),
    75: frozenset({"fp16", "int8"}),
    **dict.fromkeys((80, 86, 87), frozenset({"tf32", "bf16", "fp16", "int8"})),
    **dict.fromkeys((89, 90), frozenset({"tf32", "bf16", "fp16", "fp8", "int8"})),
    **dict.fromkeys(
        (100, 101, 103, 110, 120, 121), frozenset({"tf32", "bf16", "fp16", "fp8", "int8", "fp4"})
    ),
}
# Instructions without tensor cores, at twice (fp16) or four times (int8, as dp4a) the rate of fp32.
# SM 61 has fp16 too, at 1/64 of that rate: nobody wants it.
_ARITHMETIC: Mapping[int, frozenset[str]] = {
    **dict.fromkeys((53, 60, 62), frozenset({"fp16"})),
    61: frozenset({"int8"}),
    70: frozenset({"int8"}),
}
_OLDEST_TENSOR_CORES = min(_TENSOR_CORES)


@dataclass(frozen=True, slots=True)
class Support:
    """How a GPU computes in a precision.

    Attributes:
        how: with what; "none": a library that is asked for it computes in fp32, or refuses.
        why: in words.
    """

    how: How
    why: str


def gpu_support(sm: int, precision: str) -> Support:
    """Return how a GPU of an SM, such as 75, computes in one of PRECISIONS.

    One that is newer than the table counts as the newest known one of its kind.
    """
    known = sm if sm < _OLDEST_TENSOR_CORES else _nearest(sm)
    guessed = "" if known == sm else f" (not in the table; taken as SM {known})"
    if precision == "fp32":
        return Support("arithmetic", f"every SM computes in fp32{guessed}")
    if precision in _TENSOR_CORES.get(known, ()):
        return Support("tensor cores", f"SM {sm} has tensor cores for {precision}{guessed}")
    if precision in _ARITHMETIC.get(known, ()):
        why = f"SM {sm} computes in {precision} without tensor cores{guessed}"
        return Support("arithmetic", why)
    return Support("none", f"SM {sm} has neither tensor cores nor instructions for {precision}")


def _nearest(sm: int) -> int:
    return max(known for known in _TENSOR_CORES if known <= sm)
