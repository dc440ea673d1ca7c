"""Resources of a device, freed in reverse order. Knows no engine, batch or model."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from backends.cuda.errors import CudaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.cuda.driver import Driver

log = logging.getLogger(__name__)

T = TypeVar("T")


class Held:
    """All resources of a device; frees them in reverse order in any state of the device.

    A device that failed also refuses to free memory. That error must not hide the first one.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._stack = ExitStack()

    def keep(self, thing: T, free: Callable[[T], None]) -> T:
        """Free `thing` with `free` in the end; return it."""
        self._stack.callback(self._quietly, free, thing)
        return thing

    def close(self) -> None:
        """Free all. Closing twice is allowed."""
        self._stack.close()

    def hand_over(self) -> None:
        """Free nothing: somebody else owns everything now."""
        self._stack.pop_all()

    def _quietly(self, free: Callable[[T], None], thing: T) -> None:
        try:
            self._driver.use()
            free(thing)
        except CudaError as error:
            log.debug("while freeing: %s", error)
