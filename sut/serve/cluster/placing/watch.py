"""Watches nodes: takes note of each that listens, starts again those that are lost.

Pure: time is an argument, and a place may be anything that starts a node and reports its end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from sut.serve.cluster.placing.state import NodeState

if TYPE_CHECKING:
    from collections.abc import Mapping

# Before a lost node is started again, so that a fault that stays does not use up all restarts.
PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Listening:
    """A node has started.

    Attributes:
        address: of its agent.
        pid: of its agent.
        host: of its machine.
        niceness: of its agent.
    """

    address: str
    pid: int
    host: str
    niceness: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A node has ended, or did not start.

    Attributes:
        why: in words.
        host: of its machine; empty: not known.
    """

    why: str
    host: str = ""


class Place(Protocol):
    """Where one node runs. No call waits."""

    def start(self) -> None:
        """Start the node, again if it has ended."""

    def report(self) -> Listening | Ended | None:
        """Return what is new of it, once; None: nothing."""


class Watch:
    """The nodes of a cluster and how they are.

    Args:
        nodes: at the start, by name, each with its place.
        restarts: of one node at most.
    """

    def __init__(self, nodes: Mapping[str, tuple[NodeState, Place]], restarts: int) -> None:
        self._states = {name: state for name, (state, _) in nodes.items()}
        self._places = {name: place for name, (_, place) in nodes.items()}
        self._restarts = restarts
        self._due_s: dict[str, float] = {}

    @property
    def states(self) -> tuple[NodeState, ...]:
        """How the nodes are, in the order of the file."""
        return tuple(self._states.values())

    @property
    def all_up(self) -> bool:
        """Whether every node listens."""
        return all(state.phase == "up" for state in self._states.values())

    def start(self) -> None:
        """Start all nodes."""
        for place in self._places.values():
            place.start()

    def look(self, now_s: float) -> bool:
        """Take note of all reports, and start again what is due; return whether anything changed.

        Args:
            now_s: on a clock that never goes back.
        """
        before = self.states
        for name, place in self._places.items():
            match place.report():
                case Listening() as listening:
                    self._change(name, phase="up", **asdict(listening))
                case Ended(why, host):
                    self._note_end(name, why, host, now_s)
                case None:
                    pass
            if now_s >= self._due_s.get(name, now_s + 1):
                del self._due_s[name]
                place.start()
        return before != self.states

    def _note_end(self, name: str, why: str, host: str, now_s: float) -> None:
        count = self._states[name].restarts
        host = host or self._states[name].host
        if count == self._restarts:
            self._change(name, phase="lost", pid=0, why=why, host=host)
            return
        self._change(name, phase="starting", pid=0, why=why, host=host, restarts=count + 1)
        self._due_s[name] = now_s + PAUSE_S

    def _change(self, name: str, **changes: object) -> None:
        self._states[name] = msgspec.structs.replace(self._states[name], **changes)
