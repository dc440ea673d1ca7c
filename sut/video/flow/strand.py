"""Work in order on the threads of a pool: what is posted to a strand runs one act after the other.

So the state of a stream needs no lock, and a few threads serve any number of streams. Knows nothing
of what the acts do.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    Act = Callable[[], None]


class Strand:
    """Acts of one stream. Any thread may post; one thread of the pool at a time runs them.

    Args:
        pool: its threads are shared with other strands; each act waits for its turn among theirs.
        failed: called on the pool's thread with what an act raised; the acts behind it still run.
    """

    def __init__(self, pool: Executor, failed: Callable[[Exception], None]) -> None:
        self._pool = pool
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
        self._submit()

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
        self._submit()

    def _submit(self) -> None:
        with contextlib.suppress(RuntimeError):  # the pool is closed: nobody waits any more
            self._pool.submit(self._one)
