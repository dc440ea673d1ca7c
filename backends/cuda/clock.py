"""Puts the device's times on the host's clock. Pure: times are arguments.

Knows neither CUDA nor threads.
"""

from __future__ import annotations

# The two clocks drift apart by less than this, in ns for each ns.
DRIFT = 1e-4


class DeviceClock:
    """The offset from a time of the device to one of `time.monotonic_ns`.

    A batch cannot begin on the device before the host launched it, and the host cannot see its end
    before it ended. So each batch gives a lower and an upper bound of the offset. The best bounds
    so far, widened by the drift since, leave a few microseconds; the offset is their middle.
    """

    def __init__(self) -> None:
        self._low = float("-inf")
        self._high = float("inf")
        self._seen_ns = 0

    def observe(self, launched_ns: int, begun_ns: int, done_ns: int, seen_ns: int) -> None:
        """Update the bounds with one batch.

        Args:
            launched_ns: time of the host before it launched the batch.
            begun_ns: time of the device at the first event of the batch, after its launch.
            done_ns: time of the device at the last event.
            seen_ns: time of the host after it saw that event.
        """
        loosened = DRIFT * max(0, seen_ns - self._seen_ns)
        low, high = launched_ns - begun_ns, seen_ns - done_ns
        self._low = max(self._low - loosened, low)
        self._high = min(self._high + loosened, high)
        if self._low > self._high:  # a clock was set: start again from this batch
            self._low, self._high = low, high
        self._seen_ns = seen_ns

    def host_ns(self, device_ns: int) -> int:
        """Return a time of the device as one of the host. Call `observe` first."""
        return device_ns + int((self._low + self._high) / 2)
