"""Where the processes of points come from: from a nursery for each backend that can be forked."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from sut.sweep.tries.group import supervised
from sut.sweep.tries.warm import WarmStart, imports_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sut.sweep.tries.attempt import TryRequest
    from sut.sweep.tries.group import Launch


class Starts:
    """Launches processes. Use it in a `with`, around all of them.

    A nursery begins with the first point that it is for: before, its imports would disturb others.

    Args:
        say: prints a line where one fails; see WarmStart.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._warm: dict[str, WarmStart] = {}
        self._hold = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the nurseries."""
        self._hold.close()

    def of(self, request: TryRequest) -> Launch:
        """Return what launches the process of a request."""
        imports = imports_of(request.backend, request.device, request.options, [request.act])
        if imports is None:
            return supervised
        warm = self._warm.get(request.backend)
        if warm is None:
            warm = self._hold.enter_context(WarmStart(imports, self._say))
            self._warm[request.backend] = warm
        return warm.launch

    def busy_s(self) -> float:
        """Return the processor time of all nurseries, in s: it is not that of neighbours."""
        return sum(warm.busy_s() for warm in self._warm.values())
