"""Puts the device's times on the host's clock. Pure: times are arguments.

Knows neither CUDA nor threads.
"""

from __future__ import annotations

# The two clocks drift apart by less than this, in ns for each ns.
DRIFT = 1e-4


class DeviceClock:
    """What to add to a time of the device to get one of `time.monotonic_ns`.

    A batch cannot begin on the device before the host launched it, nor can the host see its end
    before it ended: each batch bounds the offset from below and from above. The best bounds of
    all batches so far, loosened by the drift since, leave a few microseconds; their middle is
    taken.
    """

    def __init__(self) -> None:
        self._low = float("-inf")
        self._high = float("inf")
        self._seen_ns = 0

    def observe(self, launched_ns: int, begun_ns: int, done_ns: int, seen_ns: int) -> None:
        """Take in one batch.

        Args:
            launched_ns: the host, before it launched the batch.
            begun_ns: the device's first event of the batch, after its launch.
            done_ns: the device's last event.
            seen_ns: the host, after it saw that event.
        """
        loosened = DRIFT * max(0, seen_ns - self._seen_ns)
        low, high = launched_ns - begun_ns, seen_ns - done_ns
        self._low = max(self._low - loosened, low)
        self._high = min(self._high + loosened, high)
        if self._low > self._high:  # a clock was set: begin anew with what this batch says
            self._low, self._high = low, high
        self._seen_ns = seen_ns

    def host_ns(self, device_ns: int) -> int:
        """Return a time of the device as one of the host. Call `observe` first."""
        return device_ns + int((self._low + self._high) / 2)

    @property
    def error_ns(self) -> float:
        """How far `host_ns` may be off, either way."""
        return (self._high - self._low) / 2
