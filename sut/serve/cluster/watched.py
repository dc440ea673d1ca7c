"""The worker processes of a session, as its node watches them: what they say, and whether they can.

A process that was stopped answers nothing and closes nothing, so its state is looked at.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from sut.base.standing import STOPPED, STOPPED_S, Standing
from sut.serve.cluster.messages import BEAT_S

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence


class Watched:
    """Some worker processes, and the file that ends the watch.

    Args:
        workers: name and cores of each.
        pids: of each.
        links: to each.
        ended: can be read when the session is over.
        stopped_s: how long a process may stand still.
    """

    def __init__(
        self,
        workers: Sequence[tuple[str, str]],
        pids: Sequence[int],
        links: Sequence[socket.socket],
        ended: int,
        stopped_s: float = STOPPED_S,
    ) -> None:
        self.workers = workers
        self.links = links
        self._pids = dict(enumerate(pids))
        self._descriptors = {link.fileno(): worker for worker, link in enumerate(links)}
        self._poll = select.poll()
        for descriptor in (ended, *self._descriptors):
            self._poll.register(descriptor, select.POLLIN)
        self._standing = {worker: Standing(stopped_s) for worker in self._pids}

    def wait(self) -> list[tuple[int | None, str]]:
        """Wait a while; return what there is to look at.

        Returns:
            The place of each worker that said something, or closed its connection, with an empty
            text; of each that stands still for too long, with why; None for the end of the session.
        """
        ready = self._poll.poll(BEAT_S * 1e3)
        heard: list[tuple[int | None, str]] = [
            (self._descriptors.get(descriptor), "") for descriptor, _ in ready
        ]
        return [*heard, *((worker, STOPPED) for worker in self._stopped())]

    def forget(self, worker: int) -> None:
        """Watch a worker no longer."""
        if self._pids.pop(worker, None) is not None:
            self._poll.unregister(self.links[worker])

    def _stopped(self) -> list[int]:
        return [
            worker for worker, pid in self._pids.items() if self._standing[worker].too_long(pid)
        ]
