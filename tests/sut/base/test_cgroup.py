"""Limits of control groups, read from trees of files as the kernel shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sut.base import cgroup, environment

V2 = "36 25 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
# Docker without a namespace of its own: the mount shows the container's group as its root.
V1_DOCKER = "32 31 0:29 /docker/af /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
GIB = 1 << 30


def tree(root: Path, mounts: str, own: str, **files: str) -> Path:
    """Write the files of a machine; "__" in a name is a slash below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text(mounts, "utf-8")
    (root / "proc/self/cgroup").write_text(own, "utf-8")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8")
    return root


CPU_CASES = {
    "v2, half a core": (V2, "0::/\n", {"cpu_DOT_max": "50000 100000"}, 0.5),
    "v2, no quota": (V2, "0::/\n", {"cpu_DOT_max": "max 100000"}, None),
    "v2, the stricter one above": (
        V2, "0::/a/b\n",
        {"a__b__cpu_DOT_max": "400000 100000", "a__cpu_DOT_max": "150000 100000"}, 1.5,
    ),
    "v2, the stricter one below": (
        V2, "0::/a/b\n",
        {"a__b__cpu_DOT_max": "100000 100000", "a__cpu_DOT_max": "300000 100000"}, 1.0,
    ),
    "v1": (
        V1, "4:memory:/\n2:cpu,cpuacct:/job\n0::/\n",
        {"cpu,cpuacct__job__cpu_DOT_cfs_quota_us": "250000",
         "cpu,cpuacct__job__cpu_DOT_cfs_period_us": "100000"}, 2.5,
    ),
    "v1, no quota": (
        V1, "2:cpu,cpuacct:/\n",
        {"cpu,cpuacct__cpu_DOT_cfs_quota_us": "-1",
         "cpu,cpuacct__cpu_DOT_cfs_period_us": "100000"}, None,
    ),
    "v1 in Docker": (
        V1_DOCKER, "2:cpu:/docker/af\n",
        {"cpu__cpu_DOT_cfs_quota_us": "50000", "cpu__cpu_DOT_cfs_period_us": "100000"}, 0.5,
    ),
    "a path that the container does not show": (
        V2, "0::/../../host\n", {"cpu_DOT_max": "200000 100000"}, 2.0,
    ),
    "none at all": ("", "", {}, None),
    "unreadable numbers": (V2, "0::/\n", {"cpu_DOT_max": "plenty"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CPU_CASES)
def test_c7_a_cpu_quota_is_found(tmp_path: Path, name: str) -> None:
    mounts, own, files, expected = CPU_CASES[name]

    assert cgroup.cpu_quota(tree(tmp_path, mounts, own, **files)) == expected


def test_c8_the_memory_of_a_group_is_what_it_has_not_used(tmp_path: Path) -> None:
    root = tree(
        tmp_path, V2, "0::/a\n",
        a__memory_DOT_max=str(8 * GIB), a__memory_DOT_current=str(5 * GIB),
        a__memory_DOT_stat=f"anon {3 * GIB}\ninactive_file {2 * GIB}",
        memory_DOT_max="max",
    )  # fmt: skip

    assert cgroup.memory_left_bytes(root) == 5 * GIB


def test_c8_the_memory_of_a_v1_group_is_what_it_has_not_used(tmp_path: Path) -> None:
    root = tree(
        tmp_path, V1, "4:memory:/\n",
        memory__memory_DOT_limit_in_bytes=str(4 * GIB),
        memory__memory_DOT_usage_in_bytes=str(GIB),
    )  # fmt: skip

    assert cgroup.memory_left_bytes(root) == 3 * GIB


def test_c8_the_kernel_s_largest_number_is_no_limit(tmp_path: Path) -> None:
    root = tree(
        tmp_path, V1, "4:memory:/\n",
        memory__memory_DOT_limit_in_bytes="9223372036854771712",
        memory__memory_DOT_usage_in_bytes=str(GIB),
    )  # fmt: skip

    assert cgroup.memory_left_bytes(root) is None


@pytest.mark.parametrize(("quota", "most"), [("50000", 1), ("190000", 1), ("max", 1 << 20)])
def test_c7_the_usable_cores_are_within_affinity_and_quota(
    tmp_path: Path, quota: str, most: int
) -> None:
    root = tree(tmp_path, V2, "0::/\n", cpu_DOT_max=f"{quota} 100000")

    assert environment.cores(root) == min(len(os.sched_getaffinity(0)), most)


def test_c8_the_memory_left_is_within_the_memory_installed() -> None:
    assert 0 < environment.memory_left_bytes() <= environment.memory_bytes()
