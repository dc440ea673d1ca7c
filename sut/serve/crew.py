"""The workers behind a dispatcher, of the kind that the settings ask for, and who hears them.

Knows workers; no policy and no load.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sut.base.errors import ConfigError
from sut.serve.specs import executor_spec, process_specs
from sut.serve.workers.executor import Executor, ExecutorSpec, open_executor
from sut.serve.workers.process import ProcessWorker, Receiver
from sut.serve.workers.thread import ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sut.config.settings import Lent, Limits
    from sut.serve.dispatcher import Dispatcher
    from sut.serve.samples import SampleReader
    from sut.serve.specs import SystemRequest
    from sut.serve.workers.base import Worker


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
    with needs_pyzmq():
        from sut.serve.cluster.receiver import remote_workers  # noqa: PLC0415 - it needs the extra

    return remote_workers(request, front, limits)


@contextmanager
def needs_pyzmq() -> Iterator[None]:
    """Import inside what needs pyzmq, an extra.

    Raises:
        ConfigError: it is missing; says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError("--cluster needs pyzmq. Install it: pip install -e .[cluster]") from error
