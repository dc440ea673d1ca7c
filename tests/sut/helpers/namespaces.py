"""Machines of a cluster as network namespaces of this one, joined by cables that can be cut.

LoadGen's side is a namespace, too, so no address is ever visible outside. Needs root, `ip`, and TUN
devices; `reason` says what is missing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from contextlib import ExitStack, suppress
from functools import cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_TUN = "/dev/net/tun"
_SET_INTERFACE = 0x400454CA  # TUNSETIFF, <linux/if_tun.h>
_TUN_PACKETS = 0x0001 | 0x1000  # IFF_TUN | IFF_NO_PI


@cache
def reason() -> str | None:
    """Return why there can be no namespaces here; None: there can be."""
    if os.geteuid():
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip (iproute2)"
    try:
        with Namespaces(1):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespaces here: {error}"


class Link:
    """The cable from LoadGen's side to one node."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def delay(self, ms: float) -> None:
        """Let every packet take so long, each way."""
        self._say(f"delay {ms}")

    def drop(self, share: float) -> None:
        """Lose this share of the packets."""
        self._say(f"drop {share}")

    def cut(self) -> None:
        """Carry nothing more; neither side is told."""
        self._say("cut")

    def join(self) -> None:
        """Carry packets again."""
        self._say("join")

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode("ascii") + b"\n")
        self._process.stdin.flush()


class Namespaces:
    """LoadGen's side and some nodes, each in a namespace. Use it in a `with`.

    Args:
        nodes: how many.
    """

    def __init__(self, nodes: int) -> None:
        self._prefix = f"sut{os.getpid()}"
        self._count = nodes
        self._stack = ExitStack()
        self.links: list[Link] = []

    def __enter__(self) -> Self:
        """Make them."""
        try:
            self._make(self.head)
            for node in range(self._count):
                self._make(self.name(node))
                self.links.append(self._join(node))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove them, with their devices and cables."""
        self._stack.close()

    @property
    def head(self) -> str:
        """The namespace of LoadGen's side."""
        return f"{self._prefix}-head"

    def name(self, node: int) -> str:
        """Return the namespace of a node."""
        return f"{self._prefix}-{node}"

    @staticmethod
    def address(node: int) -> str:
        """Return the address of a node, as LoadGen's side sees it."""
        return f"10.77.{node}.2"

    @staticmethod
    def inside(namespace: str, command: Sequence[str]) -> list[str]:
        """Return the command that runs another one there."""
        return ["ip", "netns", "exec", namespace, *command]

    def set_link(self, node: int, state: str) -> None:
        """Set the node's own end "down" or "up": the kernels of both sides see that."""
        _ip("-n", self.name(node), "link", "set", self._device(node, "n"), state)

    def _make(self, namespace: str) -> None:
        _ip("netns", "add", namespace)
        self._stack.callback(_remove, namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")

    def _device(self, node: int, side: str) -> str:
        return f"t{os.getpid() % 10_000_000}{side}{node}"

    def _join(self, node: int) -> Link:
        ends = [
            self._end(self._device(node, side), namespace, f"10.77.{node}.{last}")
            for side, namespace, last in (("h", self.head, 1), ("n", self.name(node), 2))
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.sut.helpers.cable", *map(str, ends)],
            stdin=subprocess.PIPE,
            pass_fds=ends,
        )
        for end in ends:
            os.close(end)
        self._stack.callback(_pull, process)
        return Link(process)

    @staticmethod
    def _end(device: str, namespace: str, address: str) -> int:
        file = os.open(_TUN, os.O_RDWR)
        fcntl.ioctl(file, _SET_INTERFACE, struct.pack("16sH", device.encode("ascii"), _TUN_PACKETS))
        _ip("link", "set", device, "netns", namespace)
        _ip("-n", namespace, "addr", "add", f"{address}/30", "dev", device)
        _ip("-n", namespace, "link", "set", device, "up")
        return file


def _pull(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.wait()


def _remove(namespace: str) -> None:
    subprocess.run(["ip", "netns", "del", namespace], check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)
