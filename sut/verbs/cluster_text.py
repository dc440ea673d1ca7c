"""How a cluster that Ray holds is shown: a table of its nodes, or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from sut.verbs.console import table

if TYPE_CHECKING:
    from sut.serve.cluster.placing.state import State

_HEADER = ("node", "state", "address", "devices", "machine", "process", "restarts")


def show(state: State, *, as_json: bool) -> None:
    """Print a cluster, its nodes, and why nodes were lost."""
    if as_json:
        print(json.dumps(msgspec.to_builtins(state), indent=2))
        return
    rows = [
        (
            node.name,
            node.phase,
            node.address,
            ",".join(node.devices),
            node.host,
            str(node.pid or ""),
            str(node.restarts),
        )
        for node in state.nodes
    ]
    print(table(rows, _HEADER))
    for node in state.nodes:
        if node.why:
            print(f"node {node.name}: {node.why}")
        if node.niceness > 0:
            print(
                f"node {node.name}: other processes go first (niceness {node.niceness}). Start Ray "
                "there with RAY_worker_niceness=0."
            )
    if state.message:
        print(state.message)
    print(f"Ray at {state.ray}, {'started for this cluster' if state.own_ray else 'which goes on'}")
