"""Processes that a nursery forks are like new ones, whatever becomes of it or of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sut.base.environment import ROOT
from sut.base.errors import WorkerError
from sut.base.process import state_of
from sut.config.settings import Lent, Limits
from sut.record.run_folder import LOG_FILE
from sut.run.birth import anew
from sut.run.nursery import Imports, Nursery, NurseryFailed
from sut.run.nursery_process import unfit
from sut.run.supervisor import EndedSilently, Supervisor
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.run.birth import Begin

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands children over")

MODULE = "tests.sut.run.nursed"
NONE = Imports("", "cpu", {}, [MODULE, "tests.sut.run.imported"])


@dataclass(frozen=True)
class Request:
    """What a process does; see tests.sut.run.nursed."""

    out_dir: str
    code: int = 0
    signal: int = 0
    waits: bool = False
    leaves: bool = False
    limits: Limits = field(default_factory=Limits)
    lent: tuple[Lent, ...] = ()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(NONE) as made:
        made.wait()
        yield made


def seen_by(process: Supervisor) -> Any:
    assert process.wait_for("seen", lambda: None, 0.01)
    return process.event("seen")


def seen(request: Request, begin: Begin) -> Any:
    with Supervisor(request, MODULE, (), begin) as process:
        return seen_by(process)


def test_a_forked_process_sees_what_a_new_one_sees(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUT_SET_LATER", "yes")
    monkeypatch.delenv("HOME", raising=False)

    new, forked = seen(Request(str(tmp_path)), anew), seen(Request(str(tmp_path)), nursery.begin)

    assert (new["how"], forked["how"]) == ("anew", "forked")
    assert forked["same"] == new["same"]
    assert forked["same"]["variables"]["SUT_SET_LATER"] == "yes"
    assert not {"HOME", "SUT_SET_BY_AN_IMPORT"} & forked["same"]["variables"].keys()
    assert forked["own"]["sid"] == forked["own"]["pid"]
    assert (tmp_path / LOG_FILE).read_text().count("a line for the log") == 2


@pytest.mark.parametrize(
    ("perhaps", "imported"),
    [("tests.sut.run.imported", ["imported"]), ("tests.sut.run.threaded", [])],
)
def test_what_may_start_threads_is_imported_only_if_it_does_not(
    tmp_path: Path, perhaps: str, imported: list[str]
) -> None:
    with Nursery(Imports("", "cpu", {}, [MODULE], [perhaps])) as nursery:
        nursery.wait()
        found = seen(Request(str(tmp_path)), nursery.begin)

    assert found["imported"] == imported
    assert found["same"]["threads"] == 1


def test_forked_processes_have_random_numbers_of_their_own(
    nursery: Nursery, tmp_path: Path
) -> None:
    first, second = (seen(Request(str(tmp_path)), nursery.begin)["random"] for _ in range(2))

    assert all(one != other for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("code", "sent", "known"), [(7, 0, 7), (0, signal.SIGSEGV, -signal.SIGSEGV)]
)
def test_the_parent_knows_how_it_ended(
    nursery: Nursery, tmp_path: Path, code: int, sent: int, known: int
) -> None:
    request = Request(str(tmp_path), code, sent)

    with (
        pytest.raises(EndedSilently) as found,
        Supervisor(request, MODULE, (), nursery.begin) as process,
    ):
        process.wait_for("never", lambda: None, 0.01)

    assert found.value.ended_with == known


def test_what_a_killed_process_leaves_in_its_session_ends_with_it(
    nursery: Nursery, tmp_path: Path
) -> None:
    request = Request(str(tmp_path), waits=True, leaves=True)

    with Supervisor(request, MODULE, (), nursery.begin) as process:
        left = seen_by(process)["own"]["left"]
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: state_of(process.pid) == "Z", "it ended")
        with pytest.raises(EndedSilently):  # and what was not sent disturbs nobody at the end
            process.send("too late")

    assert state_of(left) == ""


def test_a_stopped_process_is_killed_and_named(nursery: Nursery, tmp_path: Path) -> None:
    request = Request(str(tmp_path), waits=True, limits=Limits(stopped_s=0.0))

    with Supervisor(request, MODULE, (), nursery.begin) as process:
        os.kill(process.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(process.pid) == "T", "it stands still")
        with pytest.raises(WorkerError, match="stands still"):
            process.wait_for("never", lambda: None, 0.01)

    assert state_of(process.pid) == ""


def test_a_nursery_that_is_stopped_or_killed_takes_nobody_along(tmp_path: Path) -> None:
    request, other = Request(str(tmp_path), code=3, waits=True), Request(str(tmp_path))
    with Nursery(NONE, stopped_s=0.0) as nursery:
        nursery.wait()
        with Supervisor(request, MODULE, (), nursery.begin) as process:
            seen_by(process)
            os.kill(nursery.pid, signal.SIGSTOP)
            wait_until(lambda: state_of(nursery.pid) == "T", "it stands still")
            with pytest.raises(NurseryFailed, match="stands still"):
                seen(other, nursery.begin)
            os.kill(nursery.pid, signal.SIGKILL)
            with pytest.raises(NurseryFailed, match="it ended with signal SIGKILL"):
                seen(other, nursery.begin)
            process.send("go on")
            with pytest.raises(EndedSilently) as found:
                process.wait_for("never", lambda: None, 0.01)

    assert found.value.ended_with == request.code
    assert state_of(nursery.pid) == ""


def test_all_end_when_the_command_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys, time
        from sut.run.nursery import Nursery
        from sut.run.supervisor import Supervisor
        from tests.sut.run.test_nursery import MODULE, NONE, Request

        with Nursery(NONE) as nursery:
            nursery.wait()
            request = Request({str(tmp_path)!r}, waits=True)
            with Supervisor(request, MODULE, (), nursery.begin) as process:
                process.wait_for("seen", lambda: None, 0.01)
                print(nursery.pid, process.pid, flush=True)
                time.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        pids = list(map(int, command.stdout.readline().split()))
        command.kill()
    assert len(pids) == 2

    wait_until(lambda: all(state_of(pid) in {"", "Z"} for pid in pids), "both ended")


# --- what must not be forked


def proc(folder: Path, threads: int, *files: str) -> Path:
    for number in range(threads):
        task = folder / "task" / str(os.getpid() + number)
        task.mkdir(parents=True)
        (task / "comm").write_text(f"thread{number}\n")
    (folder / "fd").mkdir()
    for number, name in enumerate(files):
        (folder / "fd" / str(number)).symlink_to(name)
    return folder


def test_a_process_with_one_thread_and_no_device_may_be_forked(tmp_path: Path) -> None:
    assert unfit(proc(tmp_path, 1, "/dev/null", "pipe:[7]")) == ""


def test_a_process_with_threads_must_not_be_forked(tmp_path: Path) -> None:
    said = unfit(proc(tmp_path, 3, "/dev/null"))

    assert "thread1" in said
    assert "thread2" in said
    assert "thread0" not in said


@pytest.mark.parametrize("device", ["/dev/nvidiactl", "/dev/nvmap", "/dev/dxg"])
def test_a_process_that_opened_a_device_must_not_be_forked(tmp_path: Path, device: str) -> None:
    assert unfit(proc(tmp_path, 1, "/dev/null", device)).endswith(f"survive a fork: {device}")
