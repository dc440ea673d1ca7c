"""The watch of the interpreter's lock sees who holds it, and not who computes without it."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.video.flow.interpreter import LockWatch, Looks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def busy(act: Callable[[], object], threads: int) -> Iterator[None]:
    """Repeat an act on threads meanwhile."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            act()

    running = [threading.Thread(target=repeat) for _ in range(threads)]
    for thread in running:
        thread.start()
    yield
    over.set()
    for thread in running:
        thread.join()


def seen() -> float:
    """Return the share of looks at which the watch waited, of fifteen."""
    watch = LockWatch()
    watch.start()
    end_s = time.monotonic() + 20
    while watch.looks.all < 15 and time.monotonic() < end_s:
        time.sleep(0.01)
    watch.stop()
    share = watch.looks.share_since(Looks())
    assert share is not None, "it has looked"
    return share


def best(of: Callable[[Iterator[float]], float], enough: Callable[[float], bool]) -> float:
    """Return the best share of up to twenty windows: others may leave threads here no core."""
    shares: list[float] = []
    for _ in range(20):
        shares.append(seen())
        if enough(shares[-1]):
            break
    return of(iter(shares))


def test_threads_of_python_are_seen() -> None:
    # One alone that gets no core holds no lock either.
    with busy(lambda: sum(range(2000)), threads=3):
        share = best(max, lambda share: share > 0.5)

    assert share > 0.5


def test_threads_that_compute_without_the_lock_are_not_seen() -> None:
    block = bytes(1 << 22)

    with busy(lambda: hashlib.sha256(block), threads=3):  # more than there are cores
        share = best(min, lambda share: share < 0.2)

    assert share < 0.2


def test_before_the_first_look_nothing_is_known() -> None:
    assert Looks().share_since(Looks()) is None
    assert Looks(4, 3).share_since(Looks(2, 2)) == 0.5
