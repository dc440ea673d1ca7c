"""One simulated device for the engines of several processes: its times lie in a file.

Batches of all engines run one after the other, in the order in which they come. Each of n engines
that always has a batch waiting then gets 1/n of the device: processor sharing, batch by batch.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.simulated.timeline import Timeline, Times

# Until when the copy engine in, the device and the copy engine out are busy, in ns.
_BUSY = struct.Struct("=qqq")


class SharedTimeline:
    """A `Timeline` whose busy times all engines share that name the same file.

    Args:
        own: the timeline of this engine.
        path: the file; made if it is not there. Times are of this boot of the machine.

    Raises:
        ConfigError: the file cannot be opened.
    """

    def __init__(self, own: Timeline, path: str) -> None:
        self._own = own
        self._path = path
        try:
            with self._alone():
                pass
        except OSError as error:
            raise ConfigError(f"simulated backend: shared={path}: {error.strerror}.") from error

    def submit(self, now_ns: int, batch: int) -> Times:
        """See `Timeline.submit`."""
        with self._alone() as file:
            before = os.pread(file, _BUSY.size, 0)
            if len(before) == _BUSY.size:
                self._own.busy = _BUSY.unpack(before)
            times = self._own.submit(now_ns, batch)
            os.pwrite(file, _BUSY.pack(*self._own.busy), 0)
        return times

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Open the file and keep all other engines away; its descriptor is held no longer."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)
