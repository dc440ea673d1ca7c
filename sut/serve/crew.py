"""The workers behind a dispatcher, of the kind that the settings ask for, and who hears them.

Knows workers; no policy and no load.
"""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from sut.base.extras import needs_pyzmq
from sut.base.steps import heard_by, listener, named
from sut.serve.specs import executor_spec, process_specs
from sut.serve.workers.executor import Executor, ExecutorSpec, open_executor
from sut.serve.workers.process import ProcessWorker, Receiver
from sut.serve.workers.thread import ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from sut.config.settings import Lent, Limits
    from sut.serve.dispatcher import Dispatcher
    from sut.serve.samples import SampleReader
    from sut.serve.specs import SystemRequest
    from sut.serve.workers.base import Worker

T = TypeVar("T")


class HasName(Protocol):
    """A worker, or a node."""

    @property
    def name(self) -> str:
        """Tells it apart from the others."""


N = TypeVar("N", bound=HasName)


class Hears(Protocol):
    """A thread that hears the answers of workers elsewhere, and notices that one is lost."""

    def start(self) -> None:
        """Start; every worker has been told to open."""

    def close(self) -> None:
        """Stop."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How workers are made.

    Attributes:
        limits: when what does not go on is ended.
        lent: a kept process for each process worker; empty: the workers start their own.
        open_: opens the executor of a thread worker.
    """

    limits: Limits
    lent: Sequence[Lent] = ()
    open_: Callable[[ExecutorSpec], Executor] = Executor


def hire(
    request: SystemRequest, front: Dispatcher, reader: SampleReader, terms: Terms
) -> tuple[Sequence[Worker], Hears | None]:
    """Make the workers of a system, and who hears them; None: they answer on threads of their own.

    Raises:
        ConfigError: a package is missing.
    """
    kind = request.harness.workers
    if kind == "remote":
        return _on_nodes(request, front, terms.limits)
    if kind == "process":
        specs = process_specs(request, terms.limits, terms.lent)
        lose = [partial(front.lose, spec.index) for spec in specs]
        workers = [ProcessWorker(spec, front.finished, lose[spec.index]) for spec in specs]
        return workers, Receiver(workers, front.give_up)
    return [
        ThreadWorker(
            name,
            partial(open_executor, executor_spec(request, device), terms.open_),
            reader,
            front.finished,
            partial(front.lose, index),
        )
        for index, (name, device) in enumerate(request.harness.worker_devices())
    ], None


def _on_nodes(
    request: SystemRequest, front: Dispatcher, limits: Limits
) -> tuple[Sequence[Worker], Hears]:
    with needs_pyzmq("--cluster"):
        from sut.serve.cluster.receiver import remote_workers  # noqa: PLC0415 - it needs the extra

    return remote_workers(request, front, limits)


def each_heard(workers: Sequence[N]) -> Iterator[N]:
    """Yield every worker; whoever listens hears its steps, with its name if there are several."""
    hear = listener()
    for worker in workers:
        with heard_by(named(hear, worker.name) if len(workers) > 1 else hear):
            yield worker


def all_of(calls: Iterable[Future[T]]) -> list[T]:
    """Wait for all calls, then return their values, or raise the first error."""
    made = list(calls)
    wait(made)
    return [call.result() for call in made]
