"""An engine on LoadGen's own thread, or on whichever thread asks: no hop at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base.process import bind_process, parse_cpus
from sut.serve.samples import SampleReader
from sut.serve.workers.closing import close_all
from sut.serve.workers.executor import Executor, ExecutorSpec, open_executor
from sut.serve.workers.failures import naming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import OptionValue
    from sut.serve.samples import SampleSource
    from sut.serve.workers.executor import Timed, Timing

# Seconds that the samples have beyond those of the engine.
SAMPLES_CLOSE_S = 0.5


class InlineWorker:
    """See sut.serve.direct.DirectWorker."""

    def __init__(self, name: str, spec: ExecutorSpec, close_s: float) -> None:
        self.name = name
        self._spec = spec
        self._close_s = close_s
        self._executor: Executor | None = None
        self._reader = SampleReader()

    def open(self) -> dict[str, OptionValue]:
        """See DirectWorker."""
        if self._spec.cpus:
            bind_process(parse_cpus(self._spec.cpus))  # the thread that asks, too
        with naming(self.name, "open"):
            self._executor, _ = open_executor(self._spec)
            return self._executor.facts()

    def load(self, source: SampleSource) -> None:
        """See DirectWorker."""
        with naming(self.name, "load"):
            executor = self.opened()
            executor.load(self._reader.read(source, executor.memory))

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> dict[int, Timing]:
        """See DirectWorker."""
        with naming(self.name, "warm_up"):
            return self.opened().warm_up(indices, sizes, limit_s)

    def run(self, indices: Sequence[int]) -> Timed:
        """See DirectWorker."""
        return self.opened().timed(indices)

    def counts(self) -> dict[str, float]:
        """See DirectWorker."""
        return self.opened().counts()

    def close(self) -> None:
        """See DirectWorker."""
        if self._executor is not None:
            close_all({self.name: self._executor.close}, self._close_s)
            close_all({"samples": self._reader.close}, SAMPLES_CLOSE_S)

    def opened(self) -> Executor:
        """Return the executor; `open` comes first."""
        assert self._executor is not None, "open() comes first"
        return self._executor
