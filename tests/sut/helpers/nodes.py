"""Nodes of a cluster in this process, with worker processes of their own."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from data.benchmark import load_benchmark
from sut.base.process import before_others
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import resolve_workload
from sut.config.settings import Limits, TrialRequest
from sut.serve.cluster.node import Node
from sut.serve.cluster.session import Offer
from sut.serve.dispatcher import Outlets
from sut.serve.pool import BatchSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backends.base import OptionValue
    from sut.serve.dispatcher import Failure
    from sut.serve.losses import Loss
    from sut.serve.responses import Responses


class Listens(Protocol):
    """A node, in this process or in its own."""

    @property
    def name(self) -> str:
        """As the cluster file spells it."""

    @property
    def address(self) -> str:
        """Where its agent listens."""


@contextmanager
def running_node(
    name: str = "alpha", keys: Path | None = None, offer: Offer | None = None
) -> Iterator[Node]:
    """Let a node listen at a free port of loopback."""
    # msgspec builds what it knows of a type at its first use. Two threads that both do so crash:
    # here the sessions of two nodes, each of which has a process of its own in the field.
    load_benchmark("resnet50")
    listening: Future[Node] = Future()

    def run() -> None:
        before_others()  # this thread, and those that it starts: see sut.verbs.cluster_node
        node = Node(name, "127.0.0.1:0", offer, None if keys is None else str(keys))
        listening.set_result(node)
        node.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    node = listening.result(10)
    yield node
    node.stop()
    thread.join()


@contextmanager
def printed(folder: Path) -> Iterator[Callable[[], str]]:
    """Yield what tells what nodes and workers whose sessions begin inside have printed so far."""
    path = folder / "printed.txt"
    with path.open("w", encoding="utf-8") as log, redirect_stderr(log):
        yield lambda: path.read_text("utf-8")


def cluster_file(
    folder: Path, *nodes: Listens, devices: Sequence[str] = ("0",), keys: Path | None = None
) -> Path:
    """Write the file of a cluster of these nodes."""
    lines = [] if keys is None else [f"keys: {keys}"]
    lines.append("nodes:")
    for node in nodes:
        shown = ", ".join(f'"{device}"' for device in devices)
        lines.append(f"  - {{name: {node.name}, address: {node.address}, devices: [{shown}]}}")
    path = folder / "cluster.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class Cluster:
    """The null backend on the nodes of a cluster file, and what it answered."""

    def __init__(self, path: Path, **options: OptionValue) -> None:
        arguments = Arguments(
            benchmark="resnet50",
            scenario="Server",
            backend="null",
            cluster=path,
            backend_options=options,
        )
        plan = resolve(arguments)
        self.request = TrialRequest(
            scenario="Server",
            accuracy=False,
            out_dir=str(path.parent),
            load=arguments.load,
            workload=resolve_workload(plan.benchmark, "null", None).with_samples(None),
            harness=plan.harness,
        )
        self.answered: list[int] = []
        self.empty: list[int] = []
        self.failures: list[Failure] = []
        self.losses: list[Loss] = []
        self.times: list[tuple[int, ...]] = []
        self._changed = threading.Condition()

    def system(self, *, tolerate_loss: bool = False) -> BatchSystem:
        """Return the system of the cluster, which is not open yet."""
        on_loss = self.losses.append if tolerate_loss else None
        outlets = Outlets(self._complete, self, self._fail, on_loss)
        return BatchSystem(self.request, outlets, Limits())

    def wait(self, samples: int, limit_s: float = 20.0) -> None:
        """Wait until so many samples are answered, empty or not."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: len(self.answered) + len(self.empty) >= samples, limit_s
            )
        assert done, f"{len(self.answered)} of {samples} samples answered"

    def query(self, arrival_ns: int, samples: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See sut.serve.dispatcher.Recorder."""
        self.times.append(record)

    def _complete(self, ids: Sequence[int], responses: Responses | None) -> None:
        with self._changed:
            (self.empty if responses is None else self.answered).extend(ids)
            self._changed.notify_all()

    def _fail(self, failure: Failure) -> None:
        self.failures.append(failure)


def worker_processes(module: str = "sut.serve.cluster.worker") -> list[int]:
    """Return the processes of this process's nodes that run a module."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if module.encode() in words and int(parent) == os.getpid():
            found.append(int(folder.name))
    return found
