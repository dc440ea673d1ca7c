"""One sweep in its folder: measures what the journal does not know yet, and says how far it is.

A point that failed is measured again when the sweep continues. Knows neither processes nor files
other than the journal.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sut.base.errors import ConfigError, SutError
from sut.base.progress import duration
from sut.base.ticker import doing
from sut.record.journal import JournalFile
from sut.record.table import place
from sut.sweep.runner import Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sut.record.table import Row, Value
    from sut.sweep.task import Task

    Found = Sequence[tuple[Task, Measured]]

Kind = TypeVar("Kind", bound="Task")

# What a point takes that is known by nothing else: its process, its engine, a short window.
USUAL_S = 3.0
_MS = 1e6


class Session:
    """A sweep.

    Args:
        folder: of the sweep; keeps the journal.
        settings: what must not change for it to continue.
        say: prints a line.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, object], say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._journal = JournalFile(folder, settings, "sweep")
        self._say = say
        self._known: dict[str, Measured] = {}

    def open(self) -> None:
        """Read what was measured before.

        Raises:
            ConfigError: the folder holds another sweep.
        """
        for entry in self._journal.open():
            measured = msgspec.convert(entry, Measured)
            self._known[_key(measured.row.point)] = measured
        if self._known:
            self._say(f"continuing from {self._folder}: {len(self._known)} points are known")

    def known(self, task: Task) -> Measured | None:
        """Return what was measured before of a point; None: nothing, or it failed."""
        found = self._known.get(_key(task.point))
        return None if found is None or found.row.problem is not None else found

    def run(
        self,
        tasks: Sequence[Kind],
        measure: Callable[[Kind], Measured],
        keep: Callable[[Found], None],
    ) -> list[tuple[Kind, Measured]]:
        """Measure every point that is not known; return all.

        Args:
            tasks: the points, in order.
            measure: one of them.
            keep: receives all so far after each.

        Raises:
            SutError: none could be measured.
        """
        found: list[tuple[Kind, Measured]] = []
        for number, task in enumerate(tasks, 1):
            known = self.known(task)
            if known is not None:
                found.append((task, known))
                continue
            with doing(place(task.point)):
                measured = measure(task)
            self._journal.append(msgspec.to_builtins(measured))
            found.append((task, measured))
            left = self._left_s(tasks[number:], found)
            self._tell(f"{number}/{len(tasks)}", measured, left)
            keep(found)
        keep(found)
        failed = [measured for _, measured in found if measured.row.problem is not None]
        if failed and len(failed) == len(found):
            raise _failure(failed)
        return found

    def _left_s(self, tasks: Sequence[Task], found: Found) -> float:
        took = [measured.seconds for _, measured in found]
        new = sum(1 for task in tasks if self.known(task) is None)
        return new * sum(took) / len(took)

    def _tell(self, count: str, measured: Measured, left_s: float) -> None:
        left = f", about {duration(left_s)} left" if left_s else ""
        self._say(f"{count}  {told(measured.row)} [{measured.seconds:.1f} s{left}]")
        for mark in measured.row.marks:
            self._say(f"    ! {mark}")


def told(row: Row) -> str:
    """Return a row in one line."""
    where = place(row.point)
    if row.problem is not None:
        return f"{where}: FAILED: {row.problem}"
    figures = row.figures
    return (
        f"{where}: {figures['samples_per_s']:,.6g} samples/s, p50 "
        f"{figures['latency_p50_ns'] / _MS:.4g}, p99 {figures['latency_p99_ns'] / _MS:.4g} ms"
    )


def _failure(failed: Sequence[Measured]) -> SutError:
    """Return the error of a sweep without a figure: bad input if every point was refused."""
    first = failed[0].row.problem
    more = f" (and {len(failed) - 1} more points)" if len(failed) > 1 else ""
    refused = all(measured.code == ConfigError.exit_code for measured in failed)
    return (ConfigError if refused else SutError)(f"no point could be measured: {first}{more}")


def _key(point: Mapping[str, Value]) -> str:
    return json.dumps(point, sort_keys=True)
