"""What a run whose samples travelled says of its network."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.base.errors import ConfigError
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.run.network import described, finding

COUNTS = {
    "qdl_messages": 200.0,
    "qdl_bytes": 2e8,
    "qdl_wire_ns": 3e8,
    "node_samples": 200.0,
    "node_batches": 50.0,
}
CLUSTER = """nodes:
  - {name: alpha, address: "127.0.0.1:7700", devices: ["0", "1"]}
  - {name: beta, address: "127.0.0.1:7701", devices: ["0"]}
"""


def test_a_node_is_described_once_however_many_engines_it_has(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER, "utf-8")
    plan = resolve(Arguments("resnet50", "Server", backend="null", cluster=path, network="raw"))
    facts = [
        {"node": node, "machine": f"of {node}", "network_software": "Linux"}
        for node in ("alpha", "alpha", "beta")
    ]

    found = described(plan, facts, COUNTS)

    assert found is not None
    assert (found["travel"], found["messages"], found["samples"]) == ("raw", 200, 200)
    nodes = found["nodes"]
    assert isinstance(nodes, list)
    assert [(node["name"], node["devices"]) for node in nodes] == [("alpha", "0,1"), ("beta", "0")]
    assert [name for name, _ in plan.harness.worker_devices()] == ["alpha", "beta"]
    assert len(list(plan.harness.engine_devices())) == len(facts)


def test_a_run_without_a_network_says_nothing() -> None:
    plan = resolve(Arguments("resnet50", "Server", backend="null"))

    assert described(plan, [], {}) is None
    assert finding({"not_finite": 0.0}) is None


def test_the_finding_has_batches_and_the_time_on_the_wire() -> None:
    line = finding(COUNTS)

    assert line is not None
    assert "200 messages of one sample, 200 MB" in line
    assert "batches of 4.0" in line
    assert "1.50 ms on its ways" in line


def test_samples_that_travel_need_nodes() -> None:
    with pytest.raises(ConfigError, match="--network: no --cluster"):
        resolve(Arguments("resnet50", "Server", backend="null", network="raw"))


def test_images_of_a_benchmark_without_images_cannot_travel(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER, "utf-8")

    with pytest.raises(ConfigError, match="are no images"):
        resolve(Arguments("tft-electricity", "Server", cluster=path, network="jpeg"))
