"""What a run tells of its network, where samples travelled to the nodes.

environment.json has it under `network`, and a submission of the network division is made from it.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from sut.base import environment
from sut.serve.network.counted import BATCHES, BYTES, MESSAGES, SAMPLES, WIRE_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.config.plan import Plan

_MB, _NS_PER_MS = 1e6, 1e6


def described(
    plan: Plan, facts: Sequence[Mapping[str, object]], counts: Mapping[str, float]
) -> dict[str, object] | None:
    """Return the network of a run; None: no sample travelled.

    Args:
        plan: of the run.
        facts: of its engines.
        counts: see sut.serve.network.counted; empty for a run that ended early.
    """
    remote = plan.harness.remote
    if remote is None or remote.travel is None:
        return None
    nodes = []
    for name, group in groupby(facts, key=lambda engine: engine["node"]):
        engines = list(group)
        node = next(spec for spec in remote.nodes if spec.name == name)
        nodes.append(
            {
                "name": name,
                "address": node.address,
                "devices": ",".join(node.devices),
                "machine": engines[0]["machine"],
                "software": engines[0]["network_software"],
            }
        )
    return {
        "travel": remote.travel,
        "machine": environment.machine_hash(),
        "messages": int(counts.get(MESSAGES, 0)),
        "samples": int(counts.get(SAMPLES, 0)),
        "bytes": int(counts.get(BYTES, 0)),
        "nodes": nodes,
    }


def finding(counts: Mapping[str, float]) -> str | None:
    """Return a line on the network of a complete run; None: no sample travelled."""
    samples, batches = counts.get(SAMPLES, 0), counts.get(BATCHES, 0)
    if not samples or MESSAGES not in counts:
        return None
    wire_ms = counts[WIRE_NS] / samples / _NS_PER_MS
    return (
        f"Every sample travelled: {int(counts[MESSAGES]):,} messages of one sample, "
        f"{counts[BYTES] / _MB:,.0f} MB. On average the nodes made batches of "
        f"{samples / batches:.1f}, and a sample was {wire_ms:.2f} ms on its ways."
    )
