"""Where the processes of tries come from: new ones, or forks of one that has imported torch.

Only on devices with memory of their own. On a CPU a try is measured by what it has in RAM, and that
would count what a fork shares with its parent.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Self

from backends.base import FORKABLE, optional_libraries
from backends.device_memory import has_own_memory
from sut.base import descendants
from sut.run.birth import anew
from sut.run.nursery import Imports, Nursery, NurseryFailed
from sut.run.supervisor import Supervisor
from sut.sweep.tries.group import MODULE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from sut.run.birth import Birth, Running
    from sut.sweep.tries.attempt import TryRequest


def imports_of(
    backend: str, device: str, options: Mapping[str, str | int | float | bool], acts: Sequence[str]
) -> Imports | None:
    """Return what may be imported once for all tries; None: each must start anew.

    Args:
        backend: of the tries.
        device: of the tries.
        options: of the backend.
        acts: their modules.
    """
    if backend not in FORKABLE or not has_own_memory(backend, device):
        return None
    perhaps = optional_libraries(backend, options, device)
    return Imports(backend, device, dict(options), [MODULE, *acts], list(perhaps))


class WarmStart:
    """Starts the processes of a command's tries. Use it in a `with`, around all of them.

    Args:
        imports: see imports_of.
        say: prints a line where a nursery fails; from then on tries start anew.
    """

    def __init__(self, imports: Imports | None, say: Callable[[str], None]) -> None:
        self._imports, self._say = imports, say
        self._nursery: Nursery | None = None
        self._hold = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Let the imports begin; this process goes on meanwhile."""
        if self._imports is not None:
            try:
                self._nursery = self._hold.enter_context(Nursery(self._imports))
            except (NurseryFailed, OSError) as error:
                self._give_up(error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the nursery."""
        self._hold.close()

    def busy_s(self) -> float:
        """Return the processor time of the nursery, in s: it is not that of neighbours."""
        return 0.0 if self._nursery is None else descendants.busy_s(self._nursery.pid)

    def launch(
        self,
        request: TryRequest,
        before: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> Supervisor:
        """Return the process of a try.

        Args:
            request: what it gets.
            before: a command that it begins with; then it starts anew.
            variables: of its environment, beside those of this process.
        """
        # Here, because a signal is raised here; a Supervisor that starts only notes it.
        if self._nursery is not None and not before:
            try:
                self._nursery.wait()
            except NurseryFailed as error:
                self._give_up(error)

        def begin(birth: Birth, log: IO[bytes]) -> Running:
            return self._begin(
                replace(birth, variables={**birth.variables, **(variables or {})}), log
            )

        return Supervisor(request, MODULE, before, begin)

    def _begin(self, birth: Birth, log: IO[bytes]) -> Running:
        if self._nursery is not None and not birth.before:
            try:
                return self._nursery.begin(birth, log)
            except NurseryFailed as error:
                self._give_up(error)
        return anew(birth, log)

    def _give_up(self, error: Exception) -> None:
        self._nursery = None
        self._hold.close()
        self._say(f"! tries start anew from now on, which takes longer: {error}")
