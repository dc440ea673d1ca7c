"""One session of a node: finds what the run needs, lends it worker processes, watches them.

Not on the agent's own thread, because to prepare samples takes long. The agent speaks for it. Knows
what the run asked for, and processes; no socket of ZeroMQ.
"""

from __future__ import annotations

import os
import pickle
import secrets
import select
import socket
import sys
import time
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from backends.base import WITHOUT_MODEL
from data.benchmark import load_benchmark
from data.preprocess import prepare
from data.variant import at_resolution
from sut.base.errors import ConfigError, WorkerError
from sut.config.cluster import definition_sha256
from sut.config.prepare import resolve_workload
from sut.config.settings import Limits
from sut.serve.cluster import messages
from sut.serve.cluster.checks import model_files, same
from sut.serve.cluster.worker import Listening
from sut.serve.samples import SampleSource
from sut.serve.specs import process_specs
from sut.serve.workers.failures import Raised, describe, named
from sut.serve.workers.wire import Kind, Reader, pack_object

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.config.settings import HarnessSettings, Lent
    from sut.config.workload import Workload
    from sut.serve.cluster.security import Keys
    from sut.serve.workers.keeper import Keeper


class Place(NamedTuple):
    """Where a session is: what its agent knows.

    Attributes:
        node: its name.
        host: to listen at.
        devices: that a run may use; empty: all.
        keys: of the node.
    """

    node: str
    host: str
    devices: tuple[str, ...]
    keys: Keys | None


class Asked(NamedTuple):
    """What describes a system; see sut.serve.pool.SystemRequest."""

    workload: Workload
    harness: HarnessSettings


class Session:
    """A run that this node works for, from its first message to its last.

    `run` belongs on a thread that outlives all sessions: the kernel kills a worker process when the
    thread that started it ends.
    """

    def __init__(
        self, place: Place, who: str, keeper: Keeper, tell: Callable[[messages.Message], None]
    ) -> None:
        self.number = secrets.randbits(64)
        self.who = who
        self.heard_s = time.monotonic()
        self._place = place
        self._keeper = keeper
        self._tell = tell
        self._orders: SimpleQueue[messages.Begin | None] = SimpleQueue()
        self._ended, self._end = os.pipe()
        self._spoiled = False

    def begin(self, asked: messages.Begin) -> None:
        """Do what the run asks for; once."""
        self._orders.put(asked)

    def end(self, *, spoiled: bool) -> None:
        """Let the workers go; kill them if the session is spoiled. It may take a while."""
        self._spoiled = self._spoiled or spoiled
        self._orders.put(None)
        os.write(self._end, b"x")

    def close(self) -> None:
        """Free what it holds; `run` has returned."""
        os.close(self._ended)
        os.close(self._end)

    def run(self) -> None:
        """Serve the run from `begin` to `end`; then the workers are free."""
        asked = self._orders.get()
        if asked is None:
            return
        try:
            self._work(asked)
        except _Spoiled:
            pass
        except Exception as error:  # noqa: BLE001 - the run hears of it, and the node goes on
            raised = named(describe(error), self._place.node, "begin")
            kinds = tuple(kind.__name__ for kind in type(raised).__mro__)
            self._tell(messages.Refused(kinds, str(raised)))

    def _work(self, asked: messages.Begin) -> None:
        request = self._found(asked)
        samples = request.workload.samples
        assert samples is not None, "they were prepared just now"
        workers = request.harness.process_workers()
        log = sys.stderr.buffer
        with self._keeper.lend(workers, log) as lent:
            links = [socket.socket(fileno=os.dup(each.fd)) for each in lent]
            try:
                ports = self._listening(request, lent, links)
                self._tell(messages.Ready(ports, samples.count, samples.digest))
                self._watch(links, workers)
            finally:
                for link in links:
                    link.close()
            if self._spoiled:
                raise _Spoiled

    def _found(self, asked: messages.Begin) -> Asked:
        """Find the benchmark, its model and its samples, and compare them with the run's."""
        node, remote, harness = self._place.node, asked.remote, asked.harness
        for device in harness.devices:
            if self._place.devices and device not in self._place.devices:
                raise ConfigError(
                    f"node {node}: has no device {device}; expected one of "
                    f"{', '.join(self._place.devices)}."
                )
        model, data = (None if path is None else Path(path) for path in (remote.model, remote.data))
        benchmark = load_benchmark(remote.benchmark)
        if remote.resolution is not None:
            benchmark = at_resolution(benchmark, remote.resolution, model)
        found = definition_sha256(benchmark)
        same(node, f"the definition of benchmark {benchmark.name}", found, remote.definition)
        workload = resolve_workload(benchmark, harness.backend, model)
        same(node, "the model", model_files(workload), asked.model)
        if harness.backend in WITHOUT_MODEL and data is None:
            return Asked(workload.with_samples(None), harness)
        self._tell(messages.Step("preparing samples"))
        return Asked(workload.with_samples(prepare(benchmark, data)), harness)

    def _listening(
        self, request: Asked, lent: Sequence[Lent], links: Sequence[socket.socket]
    ) -> tuple[int, ...]:
        """Let every worker listen for this session; return their ports."""
        place = self._place
        source = SampleSource.of(request.workload, ())
        specs = process_specs(request, Limits(), lent)
        for spec, link in zip(specs, links, strict=True):
            listening = Listening(self.number, place.host, place.keys, spec.executor, source)
            link.sendall(pack_object(Kind.CALL, ("listen", (listening,))))
        return tuple(_answer(spec.name, link) for spec, link in zip(specs, links, strict=True))

    def _watch(self, links: Sequence[socket.socket], workers: Sequence[tuple[str, str]]) -> None:
        """Wait for the end of the session; tell the run of every worker that ends before."""
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        for link in links:
            poll.register(link, select.POLLIN)
        descriptors = [link.fileno() for link in links]
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._ended:
                    return
                poll.unregister(descriptor)
                worker = descriptors.index(descriptor)
                self._spoiled = True
                how = self._keeper.how_it_ended(workers[worker]) or "a closed connection"
                self._tell(messages.WorkerEnded(worker, how))


class _Spoiled(Exception):
    """The worker processes must not be used again."""


def _answer(worker: str, link: socket.socket) -> Any:
    """Return what a worker process answers to a call."""
    try:
        found = [pickle.loads(body) for _, body in Reader(link).receive()]
    except (EOFError, OSError) as error:
        raise WorkerError(f"{worker}: its process ended before it listened") from error
    if isinstance(found[0], Raised):
        raise named(found[0], worker, "listen")
    return found[0]
