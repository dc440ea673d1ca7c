"""Names of what a run counts where samples travel; see sut.serve.pool.System.counts.

Whoever reads a result needs them, and needs no ZeroMQ.
"""

from __future__ import annotations

# Of the Query Dispatch Library: messages and bytes that it sent, and how long samples were on their
# ways in all, in ns.
MESSAGES, BYTES, WIRE_NS = "qdl_messages", "qdl_bytes", "qdl_wire_ns"
# Of the nodes: batches that they made, and samples in these.
BATCHES, SAMPLES = "node_batches", "node_samples"
