"""Where the difference of two mean latencies lies: the parts of both ways, side by side.

The way of a sample to an engine of this process, or through a remote server: then the engine's part
is made of the client's and the server's. Knows figures by name; no files, no statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Figures = Mapping[str, float]

TOTAL = "latency_mean_ns"
REST = "before and after"
_REQUEST = "client_send_ns"  # only a way through a server has it
# In order: the name, the figure of a way without a server, that of one through it.
_WAY = (
    ("client send", "", _REQUEST),
    ("network and server", "", "client_network_server_ns"),
    ("queue", "queue_ns", "client_server_queue_ns"),
    ("dispatch; compute input", "dispatch_ns", "client_server_compute_input_ns"),
    ("compute", "compute_ns", "client_server_compute_infer_ns"),
    ("completion; compute output", "completion_ns", "client_server_compute_output_ns"),
    ("client receive", "", "client_receive_ns"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """Mean times in ns; None: the way has no such part, or nobody knows it."""

    name: str
    a_ns: float | None
    b_ns: float | None

    @property
    def more_ns(self) -> float:
        """What B has more."""
        return (self.b_ns or 0.0) - (self.a_ns or 0.0)


def parts(a: Sequence[Figures], b: Sequence[Figures]) -> tuple[Part, ...]:
    """Return the parts of the mean latency of each side, and last the latency itself.

    What the parts leave of it, as LoadGen's own time around a request, is a part, too.

    Args:
        a: figures of a point in each measurement of A.
        b: the same of B.

    Returns:
        Nothing if the parts of either side are not known.
    """
    sides = [dict(_of_side(side)) for side in (a, b)]
    if not all(sides):
        return ()
    names = (REST, *(name for name, _, _ in _WAY), "mean latency")
    found = (Part(name, *(side.get(name) for side in sides)) for name in names)
    return tuple(p for p in found if p.a_ns is not None or p.b_ns is not None)


def _of_side(measured: Sequence[Figures]) -> Iterator[tuple[str, float]]:
    is_remote = all(_REQUEST in figures for figures in measured)
    if not all(TOTAL in f and (is_remote or "compute_ns" in f) for f in measured):
        return
    total = fmean(figures[TOTAL] for figures in measured)
    known = 0.0
    for name, own, remote in _WAY:
        figure = remote if is_remote else own
        if figure and all(figure in figures for figures in measured):
            ns = fmean(figures[figure] for figures in measured)
            known += ns
            yield name, ns
    yield REST, total - known
    yield "mean latency", total
