"""What an interval buys: speed-up, efficiency, and the share of the work that it can save.

With an interval of k, one frame in k + 1 is inferred. If inference took all the time, the speed
would be k + 1 times as high. Source of the share: Amdahl, AFIPS 1967.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.video.table import INTERVAL, RATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sut.record.table import Row


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """A row against that with interval 0 and the rest of its place the same.

    Attributes:
        row: itself.
        interval: k, above 0.
        speed_up: frames/s of all streams, as a multiple.
        efficiency: speed-up / (k + 1).
        saved_share: the share of the time at interval 0 that inference takes, as this speed-up
            implies; above 1 if it is even higher than k + 1, below 0 if it is a slow-down.
    """

    row: Row
    interval: int
    speed_up: float
    efficiency: float
    saved_share: float


def speed_ups(rows: Iterable[Row]) -> list[SpeedUp]:
    """Return the speed-up of each row with an interval above 0 whose counterpart has a rate.

    Only at a free pace is it one: cameras send no more frames for it.
    """
    known = [row for row in rows if INTERVAL in row.point and row.figures.get(RATE, 0) > 0]
    bases = {_rest(row): row.figures[RATE] for row in known if row.point[INTERVAL] == 0}
    found = []
    for row in known:
        k, base = int(row.point[INTERVAL]), bases.get(_rest(row))
        if k and base:
            ratio = row.figures[RATE] / base
            share = (1 - 1 / ratio) / (1 - 1 / (k + 1))
            found.append(SpeedUp(row, k, ratio, ratio / (k + 1), share))
    return found


def pareto(rows: Sequence[Row], accuracy: str) -> list[Row]:
    """Return the rows than which none is both faster and more right, the slowest first.

    Args:
        rows: those without one of both figures are left out.
        accuracy: a figure, higher is better.
    """
    known = [row for row in rows if {RATE, accuracy} <= row.figures.keys()]
    best: list[Row] = []
    for row in sorted(known, key=lambda r: (-r.figures[RATE], -r.figures[accuracy])):
        if not best or row.figures[accuracy] > best[-1].figures[accuracy]:
            best.append(row)
    return best[::-1]


def _rest(row: Row) -> frozenset[tuple[str, object]]:
    return frozenset((axis, value) for axis, value in row.point.items() if axis != INTERVAL)
