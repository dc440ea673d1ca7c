"""The progress of a build: TensorRT reports nested phases, a bar needs one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sut.base.steps import listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.tensorrt.library import Library
    from sut.base.progress import Progress

TOTAL = 1000


class Phases:
    """The open phases of a build. Pure; `fraction` never goes back."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str | None, int, int]] = {}  # name: parent, steps done, steps
        self._best = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Begin a phase with this many steps."""
        self._open[name] = (parent, 0, max(steps, 1))

    def step(self, name: str, step: int) -> None:
        """Mark step `step` of a phase as done; steps count from 0."""
        if name in self._open:
            parent, _, steps = self._open[name]
            self._open[name] = (parent, step + 1, steps)

    def finish(self, name: str) -> None:
        """A phase is done; one without a parent is the whole build."""
        parent = self._open.pop(name, (None, 0, 1))[0]
        if parent is None:
            self._best = 1.0
        elif parent in self._open:
            above, done, steps = self._open[parent]
            self._open[parent] = (above, min(done + 1, steps), steps)

    def fraction(self) -> float:
        """Return how much of the build is done, 0 to 1."""
        deepest = max((self._fraction(name) for name in self._open), default=0.0)
        self._best = max(self._best, min(deepest, 1.0))
        return self._best

    def _fraction(self, name: str) -> float:
        fraction = 0.0
        phase = self._open.get(name)
        while phase is not None:
            parent, done, steps = phase
            fraction = min(done + fraction, steps) / steps
            phase = self._open.get(parent) if parent is not None else None
        return fraction


def build_progress() -> Progress | None:
    """Return a callback that says each per cent to this thread's listener; None: nobody listens.

    TensorRT may call it from threads of its own.
    """
    hear = listener()
    if hear is None:
        return None
    said = -1

    def progress(done: int, total: int | None) -> None:
        nonlocal said
        percent = 100 * done // (total or TOTAL)
        if percent != said:
            said = percent
            hear(f"building the plan, {percent} %")

    return progress


def make_monitor(library: Library, progress: Progress) -> Any:
    """Return TensorRT's progress monitor that calls `progress` with (done, TOTAL).

    TensorRT swallows exceptions of a monitor. An exception in this one, such as that of Ctrl-C,
    cancels the build and is kept in its attribute `stopped`.
    """
    base = library.module.IProgressMonitor

    class Monitor(base):  # type: ignore[misc,valid-type]  # the library has no types
        def __init__(self) -> None:
            base.__init__(self)
            self._phases = Phases()
            self.stopped: BaseException | None = None

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._call(lambda: self._phases.start(name, parent, steps))

        def step_complete(self, name: str, step: int) -> bool:
            self._call(lambda: self._phases.step(name, step))
            self._show()
            return self.stopped is None  # False cancels the build

        def phase_finish(self, name: str) -> None:
            self._call(lambda: self._phases.finish(name))
            self._show()

        def _show(self) -> None:
            self._call(lambda: progress(int(TOTAL * self._phases.fraction()), TOTAL))

        def _call(self, act: Callable[[], None]) -> None:
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - raised again after the build
                self.stopped = self.stopped or error

    return Monitor()
