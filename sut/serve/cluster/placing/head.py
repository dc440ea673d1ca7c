"""The head of a cluster: the process that lets Ray place the nodes, and watches them until its end.

It owns what it started: nodes, and Ray where it started it, end with it. Runs below a warden.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import EXIT_VALID, SutError
from sut.base.signals import noted
from sut.config.cluster import read_cluster_file
from sut.config.placing import takes
from sut.serve.cluster.placing.state import (
    NodeState,
    State,
    boot_id,
    write_placed,
    write_state,
)
from sut.serve.cluster.placing.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from sut.config.cluster import Cluster, NodeSpec
    from sut.config.placing import RaySpec
    from sut.serve.cluster.placing.ray_places import Connection, Wish

MODULE = "sut.serve.cluster.placing.head"
_LOOK_S, _ASK_S = 0.2, 2.0


class _Ended(Exception):
    """A signal asked for the end."""


def main(arguments: Sequence[str]) -> int:
    """Hold the cluster of a file until a signal comes; return the exit code.

    Args:
        arguments: the cluster file, the folder of its state, and a folder for Ray's files.
    """
    file, folder, ray_folder = Path(arguments[0]), Path(arguments[1]), arguments[2]
    cluster = read_cluster_file(file)
    assert cluster.ray is not None, "sut cluster up has looked"
    return Head(cluster, cluster.ray, folder, ray_folder).run()


class Head:
    """One cluster, from its first state to its last."""

    def __init__(self, cluster: Cluster, spec: RaySpec, folder: Path, ray_folder: str) -> None:
        self._cluster = cluster
        self._spec = spec
        self._folder = folder
        nodes = tuple(NodeState(node.name, node.devices) for node in cluster.nodes)
        self._state = State(
            phase="starting",
            warden=os.getppid(),
            session=os.getpid(),
            boot=boot_id(),
            own_ray=spec.address is None,
            nodes=nodes,
            folder=ray_folder,
        )
        self._asked = False

    def run(self) -> int:
        """See main."""
        self._note()
        # Late: Ray reads its variables when it is imported, and takes half a second.
        from sut.serve.cluster.placing import ray_places  # noqa: PLC0415

        try:
            with ray_places.connected(self._spec, self._state.folder) as connection:
                noted(self._signal)  # Ray has put its own handlers
                self._note(ray=connection.address)
                connection.join(self._end_if_asked)
                wishes = self._wishes(ray_places.Wish)
                with ray_places.placed(wishes, self._spec, self._end_if_asked) as places:
                    nodes = {node.name: (node, places[node.name]) for node in self._state.nodes}
                    self._hold(Watch(nodes, self._spec.restarts), connection)
        except _Ended:
            return EXIT_VALID
        except SutError as error:
            self._note(phase="failed", message=str(error))
            return error.exit_code
        except Exception as error:
            self._note(phase="failed", message=f"{type(error).__name__}: {error}")
            raise
        raise AssertionError("only a signal or an error ends the watch")

    def _hold(self, watch: Watch, connection: Connection) -> None:
        """Start the nodes, then watch them and the machines until the end."""
        watch.start()
        asked_s = time.monotonic()
        while True:
            self._end_if_asked()
            now_s = time.monotonic()
            if watch.look(now_s):
                self._changed(watch)
            if now_s - asked_s > _ASK_S:
                asked_s = now_s
                if (message := connection.gone()) != self._state.message:
                    self._note(message=message)
                connection.join_again()
            time.sleep(_LOOK_S)

    def _changed(self, watch: Watch) -> None:
        if self._state.phase == "starting":
            lost = next((node for node in watch.states if node.why), None)
            if lost is not None:
                raise SutError(f"node {lost.name} on {lost.host or 'no machine'}: {lost.why}")
        if watch.all_up:
            write_placed(self._folder, watch.states, self._cluster.keys)
        is_up = watch.all_up or self._state.phase == "up"
        self._note(nodes=watch.states, phase="up" if is_up else "starting")

    def _wishes(self, kind: type[Wish]) -> list[Wish]:
        return [
            kind(
                name=node.name,
                takes=takes(node.devices, self._spec.resource, node.host),
                command=self._command(node),
                listen=node.address or ":0",
            )
            for node in self._cluster.nodes
        ]

    def _command(self, node: NodeSpec) -> tuple[str, ...]:
        keys = () if self._cluster.keys is None else ("--keys", self._cluster.keys)
        return (
            *(self._spec.python or sys.executable, "-m", "sut", "cluster", "node"),
            *("--name", node.name, "--listen", "{listen}", "--devices", ",".join(node.devices)),
            *keys,
        )

    def _end_if_asked(self) -> None:
        if self._asked:
            raise _Ended

    def _signal(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def _note(self, **changes: object) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)
        write_state(self._folder, self._state)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SutError as failed:
        print(f"sut: {failed}", file=sys.stderr)
        sys.exit(failed.exit_code)
