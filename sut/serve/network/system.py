"""A system whose engines are on other machines, and whose samples travel there with each query.

See sut.serve.pool.System: what a run drives. LoadGen sees one SUT, however many nodes there are.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import wait
from typing import TYPE_CHECKING

from scenarios.base import Capacity
from sut.base.errors import WorkerError
from sut.serve.cluster.channel import Poller
from sut.serve.cluster.link import NodeLink, Side
from sut.serve.cluster.receiver import ClusterReceiver
from sut.serve.cluster.security import RUN, load_keys
from sut.serve.crew import all_of, each_heard
from sut.serve.network.counted import BYTES, MESSAGES, WIRE_NS
from sut.serve.network.packing import packed
from sut.serve.network.policy import NodePolicy
from sut.serve.network.qdl import Library, NetworkNode, QueryDispatchLibrary
from sut.serve.network.rooms import rows_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import OptionValue
    from sut.config.settings import Limits
    from sut.serve.dispatcher import Outlets
    from sut.serve.samples import SampleSource
    from sut.serve.specs import SystemRequest

# LoadGen asks for the name outside of the timed region; a node that is there answers at once.
_NAME_S = 5.0
# To learn what the network carries, rounds of so many samples travel for so long.
_TRIED, _TRY_S = 32, 0.1


class NetworkSystem:
    """The nodes of a cluster, behind a Query Dispatch Library."""

    def __init__(self, request: SystemRequest, outlets: Outlets, limits: Limits) -> None:
        harness = request.harness
        remote = harness.remote
        assert remote is not None, "only a cluster has nodes"
        assert remote.travel is not None, "else the samples are there already"
        inputs = request.workload.inputs
        self._rooms = [rows_for(harness.of_node(node), inputs) for node in remote.nodes]
        self._policy = NodePolicy(self._rooms)
        self._front = QueryDispatchLibrary(self._policy, outlets)
        self._specs, self._travel = remote.nodes, remote.travel
        self._nodes = [
            NetworkNode(node.name, index, self._front, limits.worker_hang_s)
            for index, node in enumerate(remote.nodes)
        ]
        side = Side(Poller(), load_keys(remote.keys, RUN))
        links = [
            NodeLink(spec, request, [node], side)
            for spec, node in zip(remote.nodes, self._nodes, strict=True)
        ]
        self._receiver = ClusterReceiver(links, side.poller, self._front)
        self._is_expected = False

    def open(self) -> list[dict[str, OptionValue]]:
        """See System. The facts are those of every engine of every node."""
        calls = [node.open_system() for node in each_heard(self._nodes)]
        self._receiver.start()
        facts: list[dict[str, OptionValue]] = []
        for spec, opened in zip(self._specs, all_of(calls), strict=True):
            of_node: dict[str, OptionValue] = {
                "node": spec.name,
                "address": spec.address,
                "machine": opened.machine,
                "network_software": opened.software,
            }
            facts += [{**engine, **of_node} for engine in opened.facts]
        return facts

    def load(self, source: SampleSource) -> None:
        """See System. Samples stay on this machine, packed as they travel; nodes get none now."""
        frames = None if source.frames is None else source.frames.open()
        if not self._is_expected:
            all_of(node.expect(source.count, frames) for node in self._nodes)
            self._is_expected = True
        library = Library(packed(source, self._travel, source.files), frames)
        for node in self._nodes:
            node.use(library)

    def warm_up(
        self,
        indices: Sequence[int],
        samples_per_query: int,
        limit_s: float,
        bound_ns: float | None = None,
    ) -> Capacity:
        """See System. All nodes at once, with samples that travelled there."""
        found = all_of(
            node.measure(indices, samples_per_query, limit_s, bound_ns) for node in self._nodes
        )
        for index, capacity in enumerate(found):
            self._policy.measured(index, 1e9 / capacity.samples_per_s)
        carried = self._carried(indices)
        for node in self._nodes:
            node.begin()
        rounds = -(-samples_per_query // len(found))
        return Capacity(
            samples_per_s=min(carried, sum(each.samples_per_s for each in found)),
            peak_samples_per_s=min(carried, sum(each.peak_samples_per_s for each in found)),
            latency_ns=min(each.latency_ns for each in found) * rounds / samples_per_query,
            max_batch_size=max(each.max_batch_size for each in found),
        )

    def _carried(self, indices: Sequence[int]) -> float:
        """Return how many samples a second reach the nodes, if no engine keeps them waiting."""
        sent, count = 0, min(_TRIED, *self._rooms)
        round_ = [indices[k % len(indices)] for k in range(count)]
        started_s = time.monotonic()
        while (took_s := time.monotonic() - started_s) < _TRY_S:
            all_of(node.try_way(round_) for node in self._nodes)
            sent += len(round_) * len(self._nodes)
        return sent / took_s

    def front(self) -> QueryDispatchLibrary:
        """See System."""
        self._front.start(self._nodes)
        return self._front

    def sut_name(self) -> str:
        """Ask every node for its name, wait for all answers, and return LoadGen's name for them.

        Raises:
            WorkerError: a node does not answer, or two have one name.
        """
        calls = [node.ask_name() for node in self._nodes]
        wait(calls, _NAME_S)
        missing = [node.name for node, call in zip(self._nodes, calls, strict=True)
                   if not call.done()]  # fmt: skip
        if missing:
            raise WorkerError(f"{', '.join(missing)}: no answer to Name() within {_NAME_S:g} s")
        names = [call.result() for call in calls]
        if len(set(names)) < len(names):
            raise WorkerError(f"two nodes call themselves the same: {', '.join(names)}")
        listed = ", ".join(f"Network SUT {name}" for name in names)
        return listed if len(names) == 1 else f"Multi-Node SUT: {listed}"

    def counts(self) -> dict[str, float]:
        """See System. Also what the QDL sent."""
        found: Counter[str] = Counter()
        for of_node in all_of(node.counts() for node in self._nodes):
            found.update(of_node)
        for node in self._nodes:
            sent = {MESSAGES: node.messages, BYTES: node.bytes, WIRE_NS: node.wire_ns}
            found.update({name: float(value) for name, value in sent.items()})
        return dict(found)

    def close(self) -> None:
        """See System."""
        self._front.close()
        self._receiver.close()
