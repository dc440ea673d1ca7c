"""The power of a Jetson through jtop, if its user has installed it and its service runs.

jetson-stats is under the AGPL: this program neither ships nor needs it, and asks it last.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sut.base.errors import SutError
from sut.telemetry.meter import Facts, Process, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERVAL_S = 0.1
_MILLI = 1e-3


class JtopError(SutError):
    """jtop is not installed, or its service does not answer."""


class JtopMeter:
    """The whole board. See sut.telemetry.meter.Meter. jtop's objects have no types."""

    device = "board"

    def __init__(self, jtop: Any) -> None:
        self._jtop = jtop

    def facts(self) -> Facts:
        """See Meter."""
        hardware = dict(self._jtop.board.get("hardware", {}))
        return Facts(self.device, "jtop", str(hardware.get("Model") or "Jetson"))

    def sample(self) -> Reading:
        """See Meter."""
        start_ns = time.monotonic_ns()
        total = dict(self._jtop.power.get("tot", {})).get("power")
        took_ns = time.monotonic_ns() - start_ns
        return Reading(start_ns, took_ns, None if total is None else float(total) * _MILLI)

    def processes(self) -> tuple[Process, ...]:
        """See Meter. A board is always shared."""
        return ()


@contextmanager
def open_jtop() -> Iterator[JtopMeter]:
    """Connect to jtop's service for the duration of a `with`.

    Raises:
        JtopError: it is not installed, or does not answer; one line.
    """
    try:
        from jtop import JtopException, jtop  # noqa: PLC0415 - only a Jetson has it
    except ImportError as error:
        raise JtopError("jetson-stats is not installed") from error
    try:
        opened = jtop(interval=_INTERVAL_S)
        opened.start()
        opened.ok()  # waits for the first figures
    except JtopException as error:
        raise JtopError(f"jtop: {error}") from error
    try:
        yield JtopMeter(opened)
    finally:
        opened.close()
