"""Finds the NUMA node of a device, and places memory there.

A copy over the link between two sockets is slower, and disturbs the other one. On Linux only;
elsewhere no node is known.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSFS = Path("/sys")


def node_of_pci(bus: str, sysfs: Path = SYSFS) -> int | None:
    """Return the node of a PCI device such as "0000:3b:00.0"; None if there is only one node."""
    try:
        node = int((sysfs / "bus/pci/devices" / bus / "numa_node").read_text("ascii"))
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None  # the kernel writes -1 for "does not matter"


def cpus_of_node(node: int, sysfs: Path = SYSFS) -> set[int]:
    """Return the cores of a node; empty if the kernel does not show them."""
    try:
        text = (sysfs / f"devices/system/node/node{node}/cpulist").read_text("ascii").strip()
    except OSError:
        return set()
    cpus: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus


@contextlib.contextmanager
def on_node(node: int | None) -> Iterator[None]:
    """Run the calling thread on the cores of `node`, so that it allocates memory there."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    wanted = cpus_of_node(node) & allowed if node is not None else set()
    if not wanted:  # unknown, or the process is bound to cores elsewhere, as its user asked
        yield
        return
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
