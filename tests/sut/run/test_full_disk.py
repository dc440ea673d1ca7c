"""A disk that is or gets full, and other folders that cannot be written: one line, no lost result.

A small file system of memory stands for the disk, in a name space of the command's own.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sut.record.trace_reader import TraceReader
from tests.sut.helpers import folders
from tests.sut.helpers.program import Done, Program

UNSHARE = ("unshare", "-rm", "bash", "-c")


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    test = [*UNSHARE, "mount -t tmpfs -o size=64k tmpfs /tmp"]
    return subprocess.run(test, check=False, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _can_mount(), reason="no file system can be mounted here"),
]

WORDS = ("run", "-b", "efficientnet-lite0", "--backend", "null", "--out", "disk/run")
FILL = (
    "(until [ -e disk/run/mlperf_log_detail.txt ]; do sleep 0.01; done; "
    "cat /dev/zero > disk/fill) & "
)
KEEP = '; code=$?; cp -r disk/. kept; exit "$code"'


def run_on_disk(
    program: Program, folder: Path, size: str, *words: object, meanwhile: str = ""
) -> Done:
    """Run a command in `folder`, whose `disk` has a size; what is left on it is in `kept`."""
    (folder / "disk").mkdir()
    (folder / "kept").mkdir()
    shell = f'mount -t tmpfs -o size={size} tmpfs disk && {{ {meanwhile} "$@"; }}{KEEP}'
    with program.start(*words, cwd=folder, before=(*UNSHARE, shell, "bash")) as running:
        return running.finish()


@pytest.mark.parametrize("size", ["64k", "1200k", "6M"])
def test_c1_a_full_disk_is_refused_before_the_run(
    program: Program, tmp_path: Path, size: str
) -> None:
    done = run_on_disk(program, tmp_path, size, *WORDS, "-s", "SingleStream")

    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    assert "No space left on device" in line
    assert "--out" in line
    assert folders.contents(tmp_path / "kept") == set()


def test_c1_a_disk_that_has_no_room_for_all_batches_keeps_the_result(
    program: Program, tmp_path: Path
) -> None:
    # Their records need more than the disk has.
    many = ("--min-duration-s", 0.1, "--min-query-count", 150_000)

    done = run_on_disk(program, tmp_path, "10400k", *WORDS, "-s", "SingleStream", *many)

    assert done.code == 0, done.err
    found = folders.summary(tmp_path / "kept" / "run")
    assert found["valid"] is True
    assert any("batches.npz cannot be written" in finding for finding in found["findings"])
    trace = TraceReader(tmp_path / "kept" / "run" / "batches.trace").read()
    assert (np.diff(trace.queries["arrival_ns"]) > 0).all()


def test_c1_logs_that_a_full_disk_cut_are_a_failure_and_kept(
    program: Program, tmp_path: Path
) -> None:
    words = (*WORDS, "-s", "SingleStream", "--min-duration-s", 1, "--min-query-count", 64)

    done = run_on_disk(program, tmp_path, "40M", *words, "--set", "delay_us=1000", meanwhile=FILL)

    assert done.code == 1, done.err
    (line,) = (line for line in done.err.splitlines() if line.startswith("sut: "))
    assert "detail log" in line
    assert "disk has" in line
    assert "Traceback" not in done.err
    left = folders.contents(tmp_path / "kept" / "run")
    assert "summary.json" not in left
    assert "mlperf_log_detail.txt.failed" in left
    assert {"batches.npz", "batches.trace"} & left


@pytest.mark.parametrize("size", ["64k", "5M"])
def test_c1_a_full_cache_is_named(program: Program, tmp_path: Path, size: str) -> None:
    shell_words = ("run", "-b", "efficientnet-lite0", "-s", "Offline", "--out", "out")
    (tmp_path / "disk").mkdir()
    shell = f'mount -t tmpfs -o size={size} tmpfs disk && SUT_CACHE_DIR=disk "$@"'
    with program.start(*shell_words, cwd=tmp_path, before=(*UNSHARE, shell, "bash")) as running:
        done = running.finish()

    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    assert "No space left on device" in line
    assert "SUT_CACHE_DIR" in line
    assert not (tmp_path / "out").exists()


def test_c1_a_limit_on_the_size_of_files_is_named(program: Program, tmp_path: Path) -> None:
    words = (*WORDS, "-s", "SingleStream")
    with program.start(
        *words, cwd=tmp_path, before=("bash", "-c", 'ulimit -f 2000; "$@"', "bash")
    ) as running:
        done = running.finish()

    assert done.code == 2, done.err
    assert "ulimit -f" in done.err
    assert len(done.err.splitlines()) == 1
    assert folders.contents(tmp_path) == set()


def test_c2_a_read_only_checkout_uses_the_user_s_cache(program: Program, tmp_path: Path) -> None:
    words = ("run", "-b", "efficientnet-lite0", "-s", "Offline", "--out", "out")
    # So many that a machine which is faster than in its warm-up takes long enough, too.
    more = ("--min-duration-s", 0.1, "--min-query-count", 1, "--target-qps", 400)
    root = Program.copied_to(tmp_path / "checkout").root
    (tmp_path / "work").mkdir()
    shell = (
        f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && "
        f'cd {tmp_path}/work && PYTHONPATH={root} HOME={tmp_path}/home XDG_CACHE_HOME= "$@"'
    )
    with program.start(*words, *more, cwd=tmp_path, before=(*UNSHARE, shell, "bash")) as running:
        done = running.finish()

    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    cache = tmp_path / "home" / ".cache" / "loadgen-sut"
    assert {path.name for path in cache.iterdir()} == {"models", "samples"}
    assert not (root / ".cache").exists()


def test_c2_a_cache_folder_that_cannot_be_written_is_named(
    program: Program, tmp_path: Path
) -> None:
    words = ("run", "-b", "efficientnet-lite0", "-s", "Offline", "--out", "out")
    (tmp_path / "disk").mkdir()
    shell = 'mount -t tmpfs -o ro tmpfs disk && SUT_CACHE_DIR=disk/cache "$@"'
    with program.start(*words, cwd=tmp_path, before=(*UNSHARE, shell, "bash")) as running:
        done = running.finish()

    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    assert "disk/cache" in line
    assert "SUT_CACHE_DIR" in line
    assert folders.contents(tmp_path) == {"disk"}
