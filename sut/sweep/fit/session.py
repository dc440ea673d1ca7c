"""All searches of one `sut fit`: what the journal knows is not tried again, and every try is kept.

Knows neither processes nor devices: a try is a function.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import SutError
from sut.base.ticker import doing
from sut.record.table import place
from sut.sweep.fit.memory_model import MemoryModel, MemoryPoint, can_fit, fit_memory
from sut.sweep.fit.result import FitRow, ModelPart, leaks, with_model
from sut.sweep.fit.search import Aim, Search
from sut.sweep.fit.trier import Tried
from sut.sweep.tries.attempt import PROCESS
from sut.sweep.tries.outcome import FULL, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sut.record.journal import JournalFile
    from sut.record.table import Value
    from sut.sweep.fit.memory import Memory
    from sut.sweep.fit.trier import Target

    Try = Callable[[Target, int, float], Tried]

# The axis that the model of memory has in it.
INSTANCES = "instances"
# Outcomes that say something of the batch; any other is tried again by the next command.
_SETTLED = frozenset({Kind.OK, Kind.BATCH_REFUSED, *FULL})


class DeviceVanished(SutError):
    """The device is gone, so that nothing else can be tried on it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every search has in common.

    Attributes:
        reserve: share of the memory that shall stay free; 0: nothing is tested for it.
        tolerance: see Aim.
        most: see Aim.
        force: see Aim.
    """

    reserve: float = 0.0
    tolerance: float = 0.01
    most: int = 65536
    force: bool = False


class FitSession:
    """The searches of one command.

    Args:
        journal: keeps each try.
        memory: that a batch must fit into.
        try_: makes a try.
        wanted: of every search.
        say: prints a line.
    """

    def __init__(
        self,
        journal: JournalFile,
        memory: Memory,
        try_: Try,
        wanted: Wanted,
        say: Callable[[str], None],
    ) -> None:
        self._journal, self._memory = journal, memory
        self._try, self._wanted, self._say = try_, wanted, say
        self._tried: dict[str, Tried] = {}
        self._parts: dict[str, ModelPart] = {}
        self._gone: str | None = None

    def open(self) -> None:
        """Read what was tried before.

        Raises:
            ConfigError: the journal is of another command.
        """
        for entry in self._journal.open():
            if "limit_bytes" in entry:
                self._memory.limit_bytes = msgspec.convert(entry["limit_bytes"], int)
                continue
            tried = msgspec.convert(entry, Tried)
            self._tried[_key(tried)] = tried
        if self._tried:
            self._say(f"{len(self._tried)} tries are known from before")
        elif self._memory.limit_bytes is not None:
            self._journal.append({"limit_bytes": self._memory.limit_bytes})

    def run(
        self, targets: Sequence[Target], keep: Callable[[Sequence[FitRow]], None]
    ) -> list[FitRow]:
        """Search at every target; return their rows.

        Args:
            targets: in order.
            keep: receives all rows so far after each.
        """
        rows: list[FitRow] = []
        for target in targets:
            rows.append(self._row(target))
            self._say(told(rows[-1]))
            keep(rows)
        return rows

    @property
    def models(self) -> tuple[ModelPart, ...]:
        """What the models of memory were fitted to."""
        return tuple(self._parts.values())

    def _row(self, target: Target) -> FitRow:
        """Search at one target. A device that vanished ends this search and all later ones."""
        point = dict(target.point)
        if self._gone is not None:
            return FitRow(point=point, problem=f"not tried: {self._gone}")
        try:
            search = self._search(target, 0.0)
            with_reserve = None
            if self._wanted.reserve and search.fits:
                with_reserve = self._search(target, self._wanted.reserve).fits
        except DeviceVanished as error:
            self._gone = str(error)
            return self._described(target, FitRow(point=point, problem=self._gone))
        fault = self._fault(target, search)
        if fault is not None:
            return self._described(target, FitRow(point=point, problem=fault.message))
        found = FitRow(
            point=point,
            largest_batch=search.fits,
            bound=self._bound(target, search),
            fails_at=search.fails,
            reserve=self._wanted.reserve,
            largest_batch_with_reserve=with_reserve,
        )
        return self._described(target, found)

    def _search(self, target: Target, reserve: float) -> Search:
        """Search with a share of the memory left free; every batch that fits was tried."""
        aim = Aim(
            processes=target.processes,
            limit_bytes=lambda: (1 - reserve) * self._limit_bytes,
            tolerance=self._wanted.tolerance,
            most=self._wanted.most,
            force=self._wanted.force,
        )
        search = Search(aim, lambda: self._model(target))
        for tried in self._of(target):
            if tried.reserve == reserve and tried.fits:
                search.tell(tried.batch, fits=True)
        for tried in self._of(target):  # last: what fits only at times does not fit
            if tried.reserve <= reserve and not tried.fits and tried.kind in _SETTLED:
                search.tell(tried.batch, fits=False)  # with less memory it fails all the more
        while (batch := search.next() or self._unconfirmed(target, search, reserve)) is not None:
            tried = self._made(target, batch, reserve, again=batch == search.fits)
            search.tell(batch, fits=tried.fits)
            if not search.fits and tried.kind not in FULL and not tried.fits:
                break  # not even a small batch runs, and not for lack of memory
        return search

    def _unconfirmed(self, target: Target, search: Search, reserve: float) -> int | None:
        """Return the answer if it fitted once; None: it is confirmed, or nothing fits."""
        confirmed = any(
            tried.again and tried.batch == search.fits for tried in self._of(target, reserve)
        )
        return None if confirmed or not search.fits else search.fits

    @property
    def _limit_bytes(self) -> float:
        limit = self._memory.limit_bytes
        return float("inf") if limit is None else limit

    def _made(self, target: Target, batch: int, reserve: float, *, again: bool) -> Tried:
        """Try a batch, and keep what came of it.

        Raises:
            DeviceVanished: the device is gone.
        """
        with doing(place({**target.point, "batch": batch})):
            made = self._try(target, batch, reserve)
        tried = msgspec.structs.replace(made, again=again)
        self._journal.append(msgspec.to_builtins(tried))
        self._tried[_key(tried)] = tried
        self._say(f"  {told_try(tried)}")
        if tried.kind is Kind.VANISHED:
            raise DeviceVanished(f"the device vanished: {tried.message}")
        return tried

    def _of(self, target: Target, reserve: float | None = None) -> list[Tried]:
        return [
            tried
            for tried in self._tried.values()
            if tried.point == dict(target.point) and reserve in (None, tried.reserve)
        ]

    def _fault(self, target: Target, search: Search) -> Tried | None:
        """Return the try that ended a search before anything fitted, if not for lack of memory."""
        if search.fits:
            return None
        return next(
            (tried for tried in self._of(target, 0.0) if not tried.fits and not _is_full(tried)),
            None,
        )

    def _bound(self, target: Target, search: Search) -> str:
        """Return why no larger batch fits."""
        if search.fails is None:
            return ""
        tries = self._of(target, 0.0)
        at = [tried for tried in tries if tried.batch == search.fails and not tried.fits]
        if not at:
            return f"predicted: {search.refused}"
        return f"{at[0].kind}: {at[0].message}"

    def _described(self, target: Target, row: FitRow) -> FitRow:
        """Return a row with what was seen while it was searched."""
        tries = self._of(target)
        fitting = [tried for tried in tries if tried.fits]
        best = [one for one in fitting if one.batch == row.largest_batch and not one.reserve]
        best.sort(key=lambda one: one.needed_bytes or 0, reverse=True)
        row = msgspec.structs.replace(
            row,
            limit_bytes=self._memory.limit_bytes,
            needed_bytes=best[0].needed_bytes if best else None,
            samples_per_s=best[0].samples_per_s if best else None,
            engine_bytes=dict(best[0].figures[0].get("device", {})) if best else {},
            precision=best[0].facts.get("precision", "") if best else "",
            process=" / ".join(dict.fromkeys(filter(None, map(_process, fitting)))),
            simulated=any(one.facts.get("simulated") == "True" for one in fitting),
            tries=len(tries),
            seconds=sum(tried.seconds for tried in tries),
            marks=(*leaks(fitting), *_doubts(tries)),
        )
        return with_model(row, self._model(target))

    def _model(self, target: Target) -> MemoryModel | None:
        """Return the model of memory of a place, from all numbers of processes; None: too few."""
        where = _without_processes(target.point)
        tries = [
            tried
            for tried in self._tried.values()
            if tried.fits and _without_processes(tried.point) == where
        ]
        points = tuple(
            MemoryPoint(int(tried.point.get(INSTANCES, 1)), tried.batch, tried.needed_bytes)
            for tried in tries
            if tried.needed_bytes
        )
        if not points:
            return None
        sizes = self._memory.sizes(tries[-1].figures, target.weights_bytes)
        if not can_fit(points, sizes):
            return None
        part = ModelPart(point=where, sizes=sizes, points=points)
        self._parts[json.dumps(where, sort_keys=True)] = part
        return fit_memory(points, sizes)


def told_try(tried: Tried) -> str:
    """Return a try in one line."""
    reserve = f" with {tried.reserve:.0%} left free" if tried.reserve else ""
    what = f"batch {tried.batch}{reserve}{' again' if tried.again else ''}"
    if not tried.fits:
        return f"{what}: {tried.kind}: {tried.message} [{tried.seconds:.1f} s]"
    needed = (tried.needed_bytes or 0) / 1e6
    return (
        f"{what} fits: {needed:,.1f} MB, {tried.samples_per_s:,.4g} samples/s "
        f"[{tried.seconds:.1f} s]"
    )


def told(row: FitRow) -> str:
    """Return a row in one line."""
    where = place(row.point) or "largest batch"
    if row.problem is not None:
        return f"{where}: {row.problem}"
    reserved = ""
    if row.largest_batch_with_reserve is not None:
        reserved = f", {row.largest_batch_with_reserve} with {row.reserve:.0%} left free"
    bound = f" ({row.bound})" if row.bound else " (no larger one was asked for)"
    return f"{where}: {row.largest_batch}{reserved}{bound}"


def _doubts(tries: Sequence[Tried]) -> tuple[str, ...]:
    """Return a mark for each try that failed, but not for lack of memory."""
    odd = [tried for tried in tries if not tried.fits and tried.kind not in _SETTLED]
    return tuple(f"batch {tried.batch}: {tried.kind}: {tried.message}" for tried in odd)


def _process(tried: Tried) -> str:
    return tried.facts.get(PROCESS, "")


def _is_full(tried: Tried) -> bool:
    return tried.kind in FULL


def _without_processes(point: Mapping[str, Value]) -> dict[str, Value]:
    return {axis: value for axis, value in point.items() if axis != INSTANCES}


def _key(tried: Tried) -> str:
    return json.dumps([tried.point, tried.batch, tried.reserve, tried.again], sort_keys=True)
