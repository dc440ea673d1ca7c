"""A memory cgroup, in a made-up tree of files, and what a process has in RAM."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from sut.base.memory_group import make_group
from sut.base.resident import Resident, reset_peak, resident

if TYPE_CHECKING:
    from pathlib import Path

MB = 1_000_000


def tree(root: Path, own: str, mount: str) -> Path:
    """Make the files that say where this process's group is; return its folder."""
    proc = root / "proc/self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(own)
    (proc / "mountinfo").write_text(mount)
    folder = root / "sys/fs/cgroup/pod"
    folder.mkdir(parents=True)
    return folder


V2 = ("0::/pod\n", "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
V1 = ("4:memory:/pod\n", "1 0 0:1 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n")


def test_a_group_of_version_2_is_made_in_the_own_one(tmp_path: Path) -> None:
    own = tree(tmp_path, *V2)
    group = make_group(100 * MB, tmp_path)
    assert group is not None
    assert group.folder.parent == own
    assert (group.folder / "memory.max").read_text() == "100000000"
    assert (group.folder / "memory.swap.max").read_text() == "0"
    assert group.killed() == 0
    group.events.write_text("oom 1\noom_kill 2\n")
    assert group.killed() == 2


def test_version_1_limits_memory_and_swap_together(tmp_path: Path) -> None:
    tree(tmp_path, *V1)
    group = make_group(100 * MB, tmp_path)
    assert group is not None
    assert (group.folder / "memory.limit_in_bytes").read_text() == "100000000"
    assert (group.folder / "memory.memsw.limit_in_bytes").read_text() == "100000000"


def test_where_no_group_can_be_made_nothing_stays(tmp_path: Path) -> None:
    assert make_group(1, tmp_path) is None
    own = tree(tmp_path, *V2)
    own.rmdir()
    own.touch()  # as a file system that refuses folders
    assert make_group(1, tmp_path) is None
    assert own.is_file()


def test_what_a_process_has_in_ram(tmp_path: Path) -> None:
    status = tmp_path / "proc/7/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Name:\tx\nVmHWM:\t  90 kB\nVmRSS:\t  50 kB\n"
        "RssAnon:\t  25 kB\nRssFile:\t  20 kB\nRssShmem:\t  5 kB\n"
    )
    found = resident(7, tmp_path)
    assert found == Resident(50 * 1024, 90 * 1024, 30 * 1024, 20 * 1024, 5 * 1024)
    assert found.private_peak == 70 * 1024
    status.write_text("Name:\tx\nState:\tZ (zombie)\n")
    assert resident(7, tmp_path) is None
    assert resident(8, tmp_path) is None


def test_the_peak_begins_again() -> None:
    with mmap.mmap(-1, 20_000_000) as block:  # what malloc gives back depends on what came before
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        before = resident()
    reset_peak()
    after = resident()
    assert before is not None
    assert after is not None
    assert after.peak < before.peak - 10_000_000
