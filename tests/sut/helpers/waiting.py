"""Waits for what another process does, with an end to the patience."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STEP_S = 0.005


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 20.0) -> float:
    """Wait until `condition` holds; return how long it took in s.

    Raises:
        AssertionError: it does not hold after `limit_s`; names `what`.
    """
    start_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - start_s
        assert waited_s < limit_s, f"after {waited_s:.1f} s still not: {what}"
        time.sleep(_STEP_S)
    return time.monotonic() - start_s
