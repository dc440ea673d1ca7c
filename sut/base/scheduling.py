"""What Linux's scheduler did with the threads of a process: run, made to wait, moved. See proc(5).

Counts are of the threads that live: one that has ended takes its own along.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

# Above this share of the cores, threads that launch and wait for batches get in each other's way.
WORKERS_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Counts since the threads started, together. None: this kernel does not tell.

    Attributes:
        ran_ns: on a core.
        waited_ns: ready to run, without a core.
        voluntary: context switches because a thread waited for something.
        involuntary: context switches because another thread got the core.
        migrations: from one core to another.
    """

    ran_ns: int | None = None
    waited_ns: int | None = None
    voluntary: int | None = None
    involuntary: int | None = None
    migrations: int | None = None

    def since(self, before: Scheduled) -> Scheduled:
        """Return what was added since an earlier look; threads that ended meanwhile count 0."""
        pairs = {f.name: (getattr(before, f.name), getattr(self, f.name)) for f in fields(self)}
        return Scheduled(
            **{
                name: None if None in pair else max(0, pair[1] - pair[0])
                for name, pair in pairs.items()
            }
        )


def scheduled(pid: int | str = "self", root: Path = Path("/")) -> Scheduled:
    """Return the counts of all threads of a process.

    Args:
        pid: of the process.
        root: where `proc` lies.
    """
    threads = [_of_thread(folder) for folder in sorted((root / f"proc/{pid}/task").glob("[0-9]*"))]
    return Scheduled(**{f.name: _sum([t.get(f.name) for t in threads]) for f in fields(Scheduled)})


def crowded(workers: int, cores: int | None = None) -> str | None:
    """Return why so many workers are too many for the cores, in one sentence; None: they are not.

    Args:
        workers: processes or threads that each launch batches and wait for them.
        cores: that they may use; None: what this process may use, by affinity and quota.
    """
    usable = environment.cores() if cores is None else cores
    if workers <= max(1.0, WORKERS_SHARE * usable):
        return None
    return (
        f"{workers} workers on {usable} usable core{'s' if usable > 1 else ''}: beyond half of the "
        "cores, threads wait for a core before they launch or collect a batch"
    )


def _of_thread(folder: Path) -> dict[str, int]:
    """Return the counts of one thread that can be read."""
    found: dict[str, int] = {}
    words = _text(folder / "schedstat").split()
    if len(words) >= 2:  # noqa: PLR2004 - time on a core, time without one
        found |= {"ran_ns": int(words[0]), "waited_ns": int(words[1])}
    names = {
        "voluntary_ctxt_switches": "voluntary",
        "nonvoluntary_ctxt_switches": "involuntary",
        "se.nr_migrations": "migrations",
    }
    for name, value in _lines(folder / "status", folder / "sched"):
        if name in names:
            found[names[name]] = int(value)
    return found


def _lines(*paths: Path) -> Iterator[tuple[str, str]]:
    for path in paths:
        for line in _text(path).splitlines():
            name, _, value = line.partition(":")
            yield name.strip(), value.strip()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:  # the thread ended, or the kernel has no such file
        return ""


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
