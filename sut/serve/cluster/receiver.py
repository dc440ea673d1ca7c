"""One thread that hears all nodes and workers of a run, and notices the loss of one."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import zmq

from sut.base.errors import WorkerError
from sut.serve.cluster.channel import Poller
from sut.serve.cluster.link import NodeLink, Side
from sut.serve.cluster.remote import RemoteWorker
from sut.serve.cluster.security import RUN, load_keys
from sut.serve.workers.failures import describe, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.config.settings import Limits
    from sut.serve.cluster.remote import Front
    from sut.serve.specs import SystemRequest

# How often to look who is silent: a run ends within 2 s, of which the silence takes 1.5 s.
_LOOK_S = 0.1
# Its last words leave within 0.2 s (link.LINGER_MS).
_END_S = 2.0


class ClusterReceiver:
    """Holds the links to the nodes. See sut.serve.crew.Hears."""

    def __init__(self, links: Sequence[NodeLink], poller: Poller, front: Front) -> None:
        self._links = links
        self._poller = poller
        self._front = front
        self._closing = self._closed = False
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)

    def start(self) -> None:
        """Connect to all nodes."""
        self._thread.start()

    def close(self) -> None:
        """End the session with every node. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        self._poller.call(self._stop)
        if self._thread.is_alive():
            # A result is not lost to a thread that does not end.
            self._thread.join(_END_S)
        if not self._thread.is_alive():
            self._poller.close()

    def _stop(self) -> None:
        self._closing = True

    def _run(self) -> None:
        context = zmq.Context(io_threads=1)
        try:
            self._hear_all(context)
        except Exception as error:  # noqa: BLE001 - nobody else would notice: no batch may wait
            raised = describe(error)
            text = f"the thread that hears the cluster ended with {one_line(raised)}"
            self._front.fail(text, raised.traceback)
            for link in self._links:
                with suppress(Exception):
                    link.lose(WorkerError(text, raised.traceback))
        finally:
            context.term()

    def _hear_all(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        for link in self._links:
            link.connect(context)
        next_look_ns = 0
        while not self._closing:
            self._poller.poll(_LOOK_S)
            now_ns = time.monotonic_ns()
            if now_ns >= next_look_ns:
                next_look_ns = now_ns + int(_LOOK_S * 1e9)
                for link in self._links:
                    link.look(now_ns)
            if (failure := self._front.failure) is not None:
                # The other nodes are free for the next run as soon as this one has failed.
                for link in self._links:
                    link.lose(WorkerError(failure.message, failure.traceback))
        for link in self._links:
            link.close(spoiled=link.is_spoiled)


def remote_workers(
    request: SystemRequest, front: Front, limits: Limits
) -> tuple[list[RemoteWorker], ClusterReceiver]:
    """Make a worker for every device of the cluster, and who hears them.

    Raises:
        ConfigError: the keys cannot be read.
    """
    remote = request.harness.remote
    assert remote is not None, "only a cluster has remote workers"
    keys, poller = load_keys(remote.keys, RUN), Poller()
    workers = [
        RemoteWorker(name, index, front, limits.worker_hang_s)
        for index, (name, _) in enumerate(request.harness.worker_devices())
    ]
    links, first = [], 0
    for node in remote.nodes:
        last = first + len(node.devices) * request.harness.instances
        of_node = workers[first:last]
        side = Side(poller, keys)
        links.append(NodeLink(node, request, of_node, side))
        first = last
    return workers, ClusterReceiver(links, poller, front)
