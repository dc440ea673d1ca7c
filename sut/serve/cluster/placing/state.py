"""What is known of a cluster that Ray holds, in a folder beside its file: who, where, how it is.

The head writes it, `sut cluster up`, `down` and `status` read it, and a run reads where the nodes
are. Knows no Ray.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from sut.base.descendants import left_in_session
from sut.base.files import write_whole
from sut.config.placing import PLACED_FILE

STATE_FILE, LOG_FILE = "state.json", "head.log"
Phase = Literal["starting", "up", "failed"]
NodePhase = Literal["starting", "up", "lost"]
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class NodeState(msgspec.Struct, frozen=True):
    """A node as the head sees it.

    Attributes:
        name: of the node.
        devices: it was told to use.
        phase: "lost": it ended too often.
        host: of the machine, as Ray knows it; empty before the first start.
        address: of the agent; empty before the first start.
        pid: of the agent, on its machine.
        niceness: of the agent; above 0, other processes go first.
        restarts: how often it was started again.
        why: how it ended last; empty: it has not.
    """

    name: str
    devices: tuple[str, ...]
    phase: NodePhase = "starting"
    host: str = ""
    address: str = ""
    pid: int = 0
    niceness: int = 0
    restarts: int = 0
    why: str = ""


class State(msgspec.Struct, frozen=True):
    """A cluster as its head sees it.

    Attributes:
        phase: "failed": it could not be brought up, or Ray was lost.
        warden: process of the warden of the head; SIGTERM ends the cluster.
        session: of the head and of Ray's processes on this machine, if they are ours.
        boot: of this machine since which process numbers count.
        ray: HOST:PORT of Ray; empty before it is known.
        own_ray: whether Ray ends with the cluster.
        message: why it failed.
        nodes: of the file, in its order.
        folder: of Ray's files.
    """

    phase: Phase
    warden: int
    session: int
    boot: str
    own_ray: bool
    nodes: tuple[NodeState, ...]
    folder: str
    ray: str = ""
    message: str = ""


def boot_id() -> str:
    """Return what is new with every boot of this machine."""
    return _BOOT.read_text("ascii").strip()


def write_state(folder: Path, state: State) -> None:
    """Write the state; where every node has an address, also the file that a run reads."""
    files = {folder / STATE_FILE: msgspec.json.format(msgspec.json.encode(state)).decode() + "\n"}
    write_whole(files)


def write_placed(folder: Path, nodes: tuple[NodeState, ...], keys: str | None) -> None:
    """Write the cluster file that a run reads: the nodes at the addresses that they have now."""
    placed: dict[str, object] = {
        "nodes": [
            {"name": node.name, "address": node.address, "devices": list(node.devices)}
            for node in nodes
        ]
    }
    if keys is not None:
        placed["keys"] = keys
    write_whole({folder / PLACED_FILE: yaml.safe_dump(placed, sort_keys=False)})


def read_state(folder: Path) -> State | None:
    """Return the state; None: no head has written one."""
    try:
        return msgspec.json.decode((folder / STATE_FILE).read_bytes(), type=State)
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_held(folder: Path) -> bool:
    """Return whether a warden holds the folder, so whether the cluster is up or on its way."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def clear(folder: Path) -> int:
    """Remove the folder of a cluster whose warden is gone; return how many processes it left.

    They are killed first. There are some only if warden and head were killed at the same moment.
    """
    state = read_state(folder)
    left = []
    if state is not None:
        shutil.rmtree(state.folder, ignore_errors=True)
    if state is not None and state.boot == boot_id():
        # Nobody else can have this session: its number is in use as long as a member lives.
        left = left_in_session(state.session)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
    return len(left)
