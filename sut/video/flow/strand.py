"""Work in order on a few threads: what is posted to a strand runs one act after the other.

So the state of a stream needs no lock, and a few threads serve any number of streams. Knows nothing
of what the acts do.
"""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Act = Callable[[], None]


class Threads:
    """Threads that run acts; unlike those of an Executor, nobody can wait for one.

    An Executor's future, with its lock and condition, takes longer than a short act.

    Args:
        count: of threads.
        name: of them.
    """

    def __init__(self, count: int, name: str) -> None:
        self._acts: SimpleQueue[Act | None] = SimpleQueue()
        self._closed = False
        self._count = count
        for number in range(count):
            threading.Thread(target=self._run, name=f"{name} {number}", daemon=True).start()

    def submit(self, act: Act) -> None:
        """Run `act`, which raises nothing, when a thread is free; returns at once."""
        self._acts.put(act)

    def close(self) -> None:
        """End the threads after what they run now; acts that wait are not run."""
        self._closed = True
        for _ in range(self._count):
            self._acts.put(None)

    def _run(self) -> None:
        get = self._acts.get
        while (act := get()) is not None and not self._closed:
            act()


class Strand:
    """Acts of one stream. Any thread may post; one of the threads at a time runs them.

    Args:
        threads: shared with other strands; each act waits for its turn among theirs.
        failed: called on such a thread with what an act raised; the acts behind it still run.
    """

    def __init__(self, threads: Threads, failed: Callable[[Exception], None]) -> None:
        self._threads = threads
        self._failed = failed
        self._acts: deque[Act] = deque()
        self._lock = threading.Lock()
        self._runs = False

    def post(self, act: Act) -> None:
        """Run `act` after those that were posted before; returns at once."""
        with self._lock:
            self._acts.append(act)
            if self._runs:
                return
            self._runs = True
        self._threads.submit(self._one)

    def _one(self) -> None:
        act = self._acts.popleft()
        try:
            act()
        except Exception as error:  # noqa: BLE001 - handed to whoever owns the strand
            self._failed(error)
        with self._lock:
            if not self._acts:
                self._runs = False
                return
        self._threads.submit(self._one)
