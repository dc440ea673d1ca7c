"""What a benchmark has started ends with it, whatever ends it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from sut.base.environment import ROOT
from sut.base.process import state_of
from tests.sut.helpers.waiting import wait_until

# A benchmark that leaves a process in a session of its own, and one whose parent has ended.
LEAVES = """
import subprocess, sys
from tests.tidy import tidy

def main():
    script = "sh -c 'sleep 60 & echo $!'; echo $$; exec sleep 60"
    started = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    return started.wait() if "stays" in sys.argv else sys.stdin.read() or 7

sys.exit(tidy(main))
"""
# They start no process.
ALONE = {
    *("closing", "plan", "postprocess", "tracker", "tracker_accuracy", "tuner"),
    *("corpus.published", "fuzz.files"),
}


def is_running(pid: int) -> bool:
    return state_of(pid) not in {"", "Z"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(None, 7), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_no_process_is_left(number: signal.Signals | None, code: int) -> None:
    command = [sys.executable, "-c", LEAVES, "stays" if number else "returns"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        left = [int(process.stdout.readline()) for _ in range(2)]
        running = [is_running(pid) for pid in left]

        if number:
            process.send_signal(number)
        process.stdin.close()

        assert running == [True, True]
        assert process.wait(10) == code
        wait_until(lambda: not any(map(is_running, left)), "both have ended")


def test_what_make_starts_leaves_nothing_behind() -> None:
    started = set(re.findall(r"-m tests\.([\w.]+)", (ROOT / "Makefile").read_text("utf-8")))
    files = {name: ROOT.joinpath("tests", *name.split(".")) for name in started}
    texts = {
        name: (file / "__main__.py" if file.is_dir() else file.with_suffix(".py")).read_text(
            "utf-8"
        )
        for name, file in files.items()
    }

    without = {name for name, text in texts.items() if "sys.exit(tidy(" not in text}

    assert {name.removeprefix("benchmarks.") for name in without} == ALONE
