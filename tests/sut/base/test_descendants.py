"""The time and the end of the processes that others started."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sut.base import descendants
from sut.base.environment import ROOT
from tests.sut.helpers.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

BUSY = "while :; do :; done"


def test_the_time_of_a_process_has_that_of_a_grandchild_that_runs() -> None:
    with subprocess.Popen(["sh", "-c", f"sh -c '{BUSY}' & wait"], process_group=0) as parent:
        try:
            wait_until(lambda: descendants.busy_s(parent.pid) >= 0.05, "time of a grandchild")
        finally:
            os.killpg(parent.pid, 9)


def test_a_process_that_is_gone_has_no_time() -> None:
    with subprocess.Popen(["true"]) as process:
        pass

    assert descendants.busy_s(process.pid) == 0.0


def test_orphans_are_ended_and_their_time_counts(tmp_path: Path) -> None:
    """As compilers leave them: their parent has ended, and nobody waits for them."""
    pid_file = tmp_path / "pid"
    script = textwrap.dedent(f"""
        import pathlib, resource, subprocess, time
        from sut.base import descendants

        descendants.adopt_orphans()
        subprocess.run(["sh", "-c", "sh -c '{BUSY}' & echo $! > {pid_file}"], check=True)
        orphan = int(pathlib.Path("{pid_file}").read_text())
        while descendants.busy_s(orphan) < 0.05:
            time.sleep(0.005)
        descendants.end_all()
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)
    """)

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert float(done.stdout) > 0.02
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()


def test_a_process_without_children_ends_nothing() -> None:
    script = "from sut.base import descendants; descendants.end_all()"

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, timeout=30)

    assert done.returncode == 0
