"""The wire in the model of the queue: what it adds, what it limits, and that it loses nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.simulated.curve import formula
from backends.simulated.jitter import Jitter
from sut.serve.batcher import BatcherSettings
from sut.serve.queue_device import Device, Host
from sut.serve.queue_model import QueueSetting, simulate
from sut.serve.queue_wire import (
    INTERPRETER,
    NETWORK,
    NODE_NETWORK,
    Network,
    Side,
    Traffic,
    Wire,
    byte_ns,
)

Scenario: TypeAlias = Literal["Server", "Offline"]

MS = 1_000_000
T4 = formula(0.31, 0.1782)
FAST = formula(0.01, 0.0)


def cluster(  # noqa: PLR0913 - what a test is about is what it names
    wire: Wire,
    *,
    nodes: int = 2,
    per_node: int = 1,
    network: Network | None = None,
    host: Host | None = None,
    curve: object = T4,
    cap: int = 26,
    slots: int = 2,
    qps: float = 1000.0,
    samples: int = 2000,
) -> QueueSetting:
    made = network or Network((wire,) * nodes)
    devices = tuple(
        Device(curve, slots, node=node)  # type: ignore[arg-type]  # a curve
        for node in range(len(made.wires))
        for _ in range(per_node)
    )
    batcher = BatcherSettings(cap, 0)
    return QueueSetting(
        devices, batcher, qps=qps, samples=samples, host=host or Host(), seed=1, network=made
    )


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 3),
    st.floats(0.05, 1.5),
    st.sampled_from(["Server", "Offline"]),
    st.sampled_from([0.0, 200e3]),
    st.sampled_from([0.0, 0.3]),
)
def test_every_sample_comes_home_once_and_in_order(  # noqa: PLR0913
    nodes: int,
    per_node: int,
    slots: int,
    load: float,
    scenario: Scenario,
    host_ns: float,
    byte: float,
) -> None:
    wire = Wire(100e3, byte, Jitter("lognormal", 0.8))
    network = Network((wire,) * nodes, byte, Traffic(64, 1000, 40))
    host = Host(host_ns / 100, True, host_ns, host_ns, side=Side(3e3, 500, 9e3, 9e3))
    rate = load * nodes * per_node * 9 / T4.service_ns(9) * 1e9
    made = cluster(wire, network=network, host=host, cap=9, slots=slots, qps=rate, samples=200)

    result = simulate(replace(made, scenario=scenario))

    assert sum(size * n for size, n in result.batch_sizes.items()) == len(result.latencies_ns)
    assert result.latencies_ns[0] >= T4.service_ns(1)
    assert all(0 <= share <= 1 for share in result.loads.values())


def test_a_lone_sample_takes_both_ways_and_its_bytes_over_the_slower_connection() -> None:
    slow, fast = byte_ns(1), byte_ns(10)
    network = Network((Wire(50e3, slow),), fast, Traffic(100, 150_000, 400))

    result = simulate(cluster(network.wires[0], network=network, qps=1, samples=20))

    out_ns, back_ns = 150_100 * slow, 500 * (slow + fast)
    expected_ns = T4.service_ns(1) + 2 * 50e3 + out_ns + back_ns
    assert result.percentile_ns(0.5) == pytest.approx(expected_ns, abs=10)


def test_a_wire_without_cost_changes_nothing() -> None:
    made = cluster(Wire(), nodes=4, qps=15_000)
    here = replace(made, network=None, devices=(Device(T4, 2),) * 4)

    over, local = simulate(made), simulate(here)

    assert over.latencies_ns.tolist() == local.latencies_ns.tolist()


def test_a_full_connection_of_loadgens_machine_limits_all_nodes() -> None:
    network = Network((Wire(),) * 4, byte_ns(1), Traffic(0, 150_000, 4))
    made = cluster(Wire(), network=network, curve=FAST, cap=8)

    result = simulate(replace(made, scenario="Offline"))

    assert result.throughput == pytest.approx(1e9 / (150_000 * 8), rel=0.02)
    assert result.loads[NETWORK] > 0.97
    assert max(result.loads, key=lambda name: result.loads[name]) == NETWORK


def test_the_devices_of_a_node_share_its_connection() -> None:
    wire = Wire(byte_ns=byte_ns(1))
    network = Network((wire,) * 2, 0.0, Traffic(0, 150_000, 4))
    made = cluster(wire, network=network, per_node=3, curve=FAST, cap=8)

    result = simulate(replace(made, scenario="Offline"))

    assert result.throughput == pytest.approx(2 * 1e9 / (150_000 * 8), rel=0.02)
    assert result.loads[NODE_NETWORK] > 0.97


@pytest.mark.parametrize("scenario", ["Server", "Offline"])
def test_the_interpreter_limits_what_all_devices_do_together(scenario: Scenario) -> None:
    host = Host(side=Side(0, 2e3, 30e3, 20e3))
    made = cluster(Wire(20e3), nodes=8, host=host, curve=FAST, cap=10, qps=1e6)

    result = simulate(replace(made, scenario=scenario, samples=20_000))

    batch_ns = 10 * 2e3 + 30e3 + 20e3
    assert result.throughput == pytest.approx(10 * 1e9 / batch_ns, rel=0.1)
    assert result.loads[INTERPRETER] > 0.97


def test_more_slots_hide_a_long_wire() -> None:
    made = replace(cluster(Wire(5 * MS), nodes=1, samples=5000), scenario="Offline")

    few, many = (
        simulate(replace(made, devices=(Device(T4, slots, node=0),))).throughput for slots in (2, 5)
    )

    assert few < 0.75 * many
    assert many == pytest.approx(26 / T4.service_ns(26) * 1e9, rel=0.03)
