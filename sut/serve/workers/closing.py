"""Closes workers side by side, and never waits for long: an engine's close may hang.

A result is complete before anything is closed, so that a slow end costs time and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


def close_all(closers: Mapping[str, Callable[[], None]], limit_s: float) -> None:
    """Call all `closers` at once; return when they have, or after `limit_s`.

    What has not closed by then ends with its process. The log names it, and what failed to close.

    Args:
        closers: what closes a worker or engine, by its name.
        limit_s: seconds for all of them.
    """
    threads = {
        name: threading.Thread(target=_close, args=(name, close), name="close", daemon=True)
        for name, close in closers.items()
    }
    for thread in threads.values():
        thread.start()
    end_s = time.monotonic() + limit_s
    for name, thread in threads.items():
        thread.join(max(0.0, end_s - time.monotonic()))
        if thread.is_alive():
            log.warning(
                "%s: the engine did not close within %g s. It ends with its process.", name, limit_s
            )


def _close(name: str, close: Callable[[], None]) -> None:
    try:
        close()
    except Exception as error:
        log.warning("%s: the engine failed to close: %s", name, error, exc_info=True)
