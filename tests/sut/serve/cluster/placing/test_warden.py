"""The warden of a command, with real processes: none of them is left, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sut.serve.cluster.placing.state import is_held
from sut.serve.cluster.placing.warden import FOLDER, MODULE, Order, line_of
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

# A child that leaves its parent, group and session, as Ray's processes do; then the parent waits.
FAMILY = """
import os, sys, time
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    open(sys.argv[1] + ".part", "w").write(str(os.getpid()))
    os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(60)
"""


def family(note: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", FAMILY, str(note))


@contextmanager
def warden(order: Order, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        process.stdin.write(line_of(order))
        process.stdin.flush()
        yield process
    finally:
        process.terminate()
        process.stdin.close()
        process.wait()


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.parametrize("how", ["asked", "tied", "command killed"])
def test_nothing_is_left_however_it_ends(tmp_path: Path, how: str) -> None:
    note = tmp_path / "pid"
    order = Order(family(note), tied=how == "tied", grace_s=5.0)

    with warden(order, tmp_path / "log") as process:
        wait_until(note.exists, "the grandchild runs")
        orphan = int(note.read_text())
        assert os.getsid(orphan) not in {process.pid, os.getsid(0)}
        assert process.stdin is not None
        match how:
            case "asked":
                process.terminate()
            case "tied":
                process.stdin.close()
            case _:
                os.kill(child_of(process.pid), signal.SIGKILL)
        code = process.wait(10)

    assert code == 128 + (signal.SIGKILL if how == "command killed" else signal.SIGTERM)
    assert not is_there(orphan)


def test_a_command_is_told_to_end_when_its_warden_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "note"
    script = "import os, sys, time; print(os.getpid(), sys.argv[1], flush=True); time.sleep(60)"

    with warden(Order((sys.executable, "-c", script, FOLDER)), note) as process:
        wait_until(lambda: note.read_text().endswith("\n"), "the command runs")
        process.kill()
        process.wait()
    pid, folder = note.read_text().split()

    wait_until(lambda: not is_there(int(pid)), "the command has ended")
    Path(folder).rmdir()


def test_the_folder_of_a_command_goes_with_it(tmp_path: Path) -> None:
    note = tmp_path / "folder"
    script = "import sys; open(sys.argv[2], 'w').write(sys.argv[1]); open(sys.argv[1] + '/a', 'w')"

    with warden(Order((sys.executable, "-c", script, FOLDER, str(note))), tmp_path / "log") as it:
        assert it.wait(10) == 0

    assert note.read_text()
    assert not Path(note.read_text()).exists()


def test_a_folder_has_one_warden(tmp_path: Path) -> None:
    order = Order(("sleep", "60"), held=str(tmp_path))

    with warden(order, tmp_path / "first") as first:
        wait_until(lambda: is_held(tmp_path), "the first holds the folder")
        with warden(order, tmp_path / "second") as second:
            assert second.wait(20) == 1
        assert first.poll() is None

    assert "is in use by another command" in (tmp_path / "second").read_text()
