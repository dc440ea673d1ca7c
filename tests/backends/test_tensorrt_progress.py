"""What TensorRT says of a build, and a Ctrl-C during it, which cancels it and is not lost."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from backends.tensorrt.progress import TOTAL, build_progress, make_monitor
from sut.base.steps import heard_by

if TYPE_CHECKING:
    from backends.tensorrt.library import Library

LIBRARY = cast("Library", SimpleNamespace(module=SimpleNamespace(IProgressMonitor=object)))


def test_a_monitor_tells_how_far_the_build_is() -> None:
    told: list[tuple[int, int | None]] = []
    monitor = make_monitor(LIBRARY, lambda done, total: told.append((done, total)))

    monitor.phase_start("build", None, 2)
    goes_on = monitor.step_complete("build", 0)
    monitor.phase_finish("build")

    assert goes_on is True
    assert told == [(TOTAL // 2, TOTAL), (TOTAL, TOTAL)]
    assert monitor.stopped is None


def test_c9_a_ctrl_c_cancels_the_build_and_is_kept() -> None:
    interrupt = KeyboardInterrupt()

    def progress(done: int, total: int | None) -> None:
        raise interrupt

    monitor = make_monitor(LIBRARY, progress)
    monitor.phase_start("build", None, 2)

    assert monitor.step_complete("build", 0) is False
    assert monitor.stopped is interrupt


def test_a_build_says_each_per_cent_to_who_listens_once() -> None:
    heard: list[str] = []

    assert build_progress() is None
    with heard_by(heard.append):
        progress = build_progress()
    assert progress is not None
    thread = threading.Thread(target=lambda: [progress(done, TOTAL) for done in (0, 4, 10, 19, 20)])
    thread.start()
    thread.join()

    assert heard == [f"building the plan, {percent} %" for percent in (0, 1, 2)]
