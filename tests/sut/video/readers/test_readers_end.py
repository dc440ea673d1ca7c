"""A command that is interrupted, or killed, leaves no process that reads."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sut.helpers.waiting import wait_until
from tests.sut.video.clip_file import write
from tests.sut.video.made import detect, write_pipeline

pytest.importorskip("av")

if TYPE_CHECKING:
    from tests.sut.helpers.program import Program, Running

pytestmark = pytest.mark.slow
MODULE = "sut.video.flow.apart.process"


def readers(running: Running) -> list[int]:
    """Return the processes that read by now: they have more than their own two threads."""
    pids = [pid for pid, line in running.processes().items() if f" -m {MODULE} " in line]
    return [pid for pid in pids if len(list(Path("/proc").glob(f"{pid}/task/*"))) > 2]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_command(
    program: Program, tmp_path: Path, how: signal.Signals
) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    clip = write(tmp_path / "clip.mp4", (64, 32), codec="mpeg4")
    words = ["--streams", 2, "--readers", 2, "--loop", "--duration-s", 60, "--backend", "null"]

    with program.start(
        "video", "run", path, "--source", clip, *words, "--out", "out", cwd=tmp_path
    ) as running:
        wait_until(lambda: len(readers(running)) == 2, "both processes read")
        running.send(how)
        done = running.finish()

        wait_until(lambda: not running.processes(), "no process is left", 5.0)
    assert done.code == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in done.err
