"""What the control groups of this process allow: a share of the processor, and memory.

Reads cgroup v1 and v2, in a container or outside. A group's limit also holds for those below it.
See cgroups(7) and the kernel's cgroup-v2.rst. What cannot be read is no limit.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A v1 limit above this is none: the kernel's largest number, rounded to pages.
_NO_LIMIT_BYTES = 1 << 60
_MOUNT_ROOT, _MOUNT_POINT = 3, 4  # fields of a line of /proc/self/mountinfo, see proc(5)


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return how many cores' time the process may use, such as 0.5; None: all of its cores'.

    Args:
        root: where `proc` and the mounts lie.
    """
    quotas = [
        *(_share(_words(group / "cpu.max")) for group in groups(root, "")),
        *(
            _share([*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")])
            for group in groups(root, "cpu")
        ),
    ]
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_left_bytes(root: Path = Path("/")) -> int | None:
    """Return how many bytes the groups still allow; None: there is no limit.

    Args:
        root: where `proc` and the mounts lie.
    """
    left = [
        *(_left(group, "memory.max", "memory.current") for group in groups(root, "")),
        *(
            _left(group, "memory.limit_in_bytes", "memory.usage_in_bytes")
            for group in groups(root, "memory")
        ),
    ]
    return min((one for one in left if one is not None), default=None)


def _share(words: list[str]) -> float | None:
    """Return quota / period of ["50000", "100000"]; "max" and -1 are no quota."""
    try:
        quota, period = map(float, words)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _left(group: Path, limit: str, used: str) -> int | None:
    """Return the rest. Memory that caches files counts as free: the kernel gives it back."""
    words = [*_words(group / limit), *_words(group / used)]
    try:
        most, now = map(int, words)
    except ValueError:
        return None
    if most >= _NO_LIMIT_BYTES:
        return None
    caches = {
        name: int(value)
        for name, value in (line.split() for line in lines(group / "memory.stat"))
        if value.isdecimal()
    }
    # In v1, the figure with that prefix has the groups below in it, as the usage has.
    cached = caches.get("total_inactive_file", caches.get("inactive_file", 0))
    return max(0, most - now + cached)


def groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folder of this process's group and of those above it; "" is cgroup v2."""
    own = _own_group(root, controller)
    if own is None:
        return
    for mount_root, mount_point in _mounts(root, controller):
        # In a container, the mount may begin at a group below the host's root, or hide the path.
        try:
            below = own.relative_to(mount_root)
        except ValueError:
            below = PurePosixPath()
        folder = root / mount_point.relative_to("/")
        yield from (folder / part for part in dict.fromkeys((below, *below.parents)))


def _own_group(root: Path, controller: str) -> PurePosixPath | None:
    for line in lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return PurePosixPath(path)
    return None


def _mounts(root: Path, controller: str) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """Yield (root of the mount in the tree of groups, where it is mounted)."""
    for line in lines(root / "proc/self/mountinfo"):
        mounted, _, file_system = line.partition(" - ")
        kind, _, options = [*file_system.split(), "", "", ""][:3]
        wanted = kind == "cgroup" and controller in options.split(",")
        if kind == "cgroup2" if not controller else wanted:
            words = mounted.split()
            yield PurePosixPath(words[_MOUNT_ROOT]), PurePosixPath(words[_MOUNT_POINT])


def _words(path: Path) -> list[str]:
    return " ".join(lines(path)).split()


def lines(path: Path) -> list[str]:
    """Return the lines of a file of the kernel; none if it cannot be read."""
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
