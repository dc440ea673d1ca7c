"""The power of a simulated device: `idle_w` and, while it runs a batch, `power_w`.

Reads the batches from the trace of the running test. Its figures are simulated, like the device.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from sut.record.trace import BATCH_FIELDS
from sut.record.trace_reader import TraceReader
from sut.telemetry.meter import Facts, Process, Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sut.telemetry.meter import Power

_WORKER, _STARTED, _FINISHED = (
    BATCH_FIELDS.index(name) for name in ("worker", "started_ns", "finished_ns")
)


class SimulatedMeter:
    """One simulated device. See sut.telemetry.meter.Meter.

    A batch counts when it is complete. The busy time of a long batch is spread over the following
    samples.
    """

    def __init__(
        self, power: Power, trace: Path, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.device = power.device
        self._power = power
        self._path = trace
        self._clock = clock
        self._reader: TraceReader | None = None
        self._at_ns = clock()
        self._owed_ns = 0.0
        self._energy_j = 0.0

    def facts(self) -> Facts:
        """See Meter."""
        return Facts(
            self.device, "simulated", "simulated device", power_limit_w=self._power.power_w
        )

    def sample(self) -> Reading:
        """See Meter."""
        now_ns = self._clock()
        elapsed_ns = now_ns - self._at_ns
        self._at_ns = now_ns
        self._owed_ns += self._new_busy_ns()
        busy_ns = min(self._owed_ns, elapsed_ns)
        self._owed_ns -= busy_ns
        share = busy_ns / elapsed_ns if elapsed_ns else 0.0
        power_w = self._power.idle_w + share * (self._power.power_w - self._power.idle_w)
        self._energy_j += power_w * elapsed_ns / 1e9
        took_ns = self._clock() - now_ns
        return Reading(now_ns, took_ns, power_w, self._energy_j, utilisation_percent=100 * share)

    def processes(self) -> tuple[Process, ...]:
        """See Meter."""
        return ()

    def _new_busy_ns(self) -> float:
        if self._reader is None:
            if not (self._path.exists() and self._path.stat().st_size):
                return 0.0
            self._reader = TraceReader(self._path)
        new = self._reader.new_batches()
        mine = new[np.isin(new[:, _WORKER], self._power.workers)]
        return float((mine[:, _FINISHED] - mine[:, _STARTED]).sum()) * self._reader.one_in
