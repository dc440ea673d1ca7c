"""What `sut submit` writes of a network, and what it refuses."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

from data.rounds import round_named
from sut.base.errors import ConfigError
from sut.submission import network
from sut.submission.order import scenarios_for
from sut.submission.ran import RanNetwork, RanNode
from tests.sut.helpers.nodes import cluster_file, running_node
from tests.sut.helpers.program import Program, run_here

if TYPE_CHECKING:
    from collections.abc import Mapping

RESNET = round_named("v6.1").models["resnet"]
RAN = RanNetwork(
    travel="lossless",
    machine="m0",
    messages=10,
    samples=10,
    bytes=5_000,
    nodes=(
        RanNode("alpha", "10.0.0.2:7700", "0,1", "m1", "Linux 6.1, libzmq 4.3.5"),
        RanNode("beta", "10.0.0.3:7700", "0", "m2", "Linux 6.1, libzmq 4.3.5"),
    ),
)
WRITTEN: Mapping[str, object] = {"network_type": "Ethernet <100G>", "nic_sut": "ConnectX-6 & co"}
SVG = "{http://www.w3.org/2000/svg}"


def test_a_run_fills_in_what_it_knows_and_nothing_that_a_person_wrote() -> None:
    filled = network.filled({**WRITTEN, "network_protocol": "RDMA"}, RAN)

    assert filled["network_type"] == "Ethernet <100G>"
    assert filled["network_protocol"] == "RDMA"
    assert filled["number_connections"] == "4"
    assert filled["net_software_stack_sut"] == "Linux 6.1, libzmq 4.3.5"
    assert filled["is_network"] == "true"


def test_the_checks_get_messages_and_machines() -> None:
    found = network.facts(RAN)

    assert (found["messages"], found["samples"], found["format"]) == (10, 10, "lossless")
    assert found["machines"] == ["m0", "m1", "m2"]


def test_the_diagram_shows_every_node_and_is_well_formed() -> None:
    drawing = ET.fromstring(network.diagram(WRITTEN, RAN))

    texts = [text.text for text in drawing.iter(f"{SVG}text")]
    assert {"LoadGen's machine", "node alpha", "node beta", "Ethernet <100G>"} <= set(texts)
    assert len(list(drawing.iter(f"{SVG}rect"))) == 2 + len(RAN.nodes)


def test_the_paper_says_what_the_qdl_sends_and_where_its_source_is() -> None:
    text = network.papers(WRITTEN, RAN)

    assert "Query Dispatch Library" in text
    assert "compressed by the sample library without loss" in text
    assert "| beta | 10.0.0.3:7700 | 0 |" in text
    sources = (path for path in text.split("`") if path.endswith(".py"))
    assert all((Path(__file__).parents[3] / path).is_file() for path in sources)


def test_the_network_division_has_no_edge_systems() -> None:
    with pytest.raises(ConfigError, match="datacenter suite only"):
        scenarios_for(RESNET, {"system_type": "edge"}, "network", ())

    both = scenarios_for(RESNET, {"system_type": "datacenter,edge"}, "network", ())
    assert "Server" in both


@pytest.mark.parametrize(
    ("division", "more", "said"),
    [
        ("network", (), "--network: it belongs to --division network"),
        ("closed", ("--network", "--cluster", "c.yaml"), "--network: it belongs to"),
        ("network", ("--network", "--fast"), "--fast: nothing of the network division"),
        ("open", ("--network", "--fast"), "--network: no --cluster"),
    ],
)
def test_what_does_not_fit_the_division_is_refused(
    division: str, more: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = run_here(
        *("submit", "-b", "efficientnet-lite0" if division == "open" else "resnet50"),
        *("--division", division, "--submitter", "Acme", "--out", "tree", *more),
        cwd=tmp_path,
    )

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_open_tree_whose_samples_travelled_says_so_everywhere(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    with running_node() as node:
        cluster = cluster_file(tmp_path, node, devices=("cpu",))
        done = program.run(
            *("submit", "-b", own_yaml, "--division", "open", "--submitter", "Acme", "--fast"),
            *("-s", "Offline", "--cluster", cluster, "--network", "--out", "tree"),
            cwd=tmp_path,
        )
    folder = tmp_path / "tree" / "open" / "Acme"
    system = json.loads((folder / "systems" / "default.json").read_text("utf-8"))
    result = folder / "results" / "default" / "own" / "Offline"
    measured = json.loads((result / "measurements.json").read_text("utf-8"))
    report = json.loads(run_here("check", tmp_path / "tree", "--json").out)
    codes = {finding["code"] for finding in report["findings"]}

    assert done.code == 3, done.err
    assert (system["is_network"], system["number_connections"]) == ("true", "2")
    assert measured["network"]["messages"] == measured["network"]["samples"] > 0
    assert {path.suffix for path in (folder / "documentation").iterdir()} == {".svg", ".md"}
    assert "sut cluster node --name alpha" in (result / "README.md").read_text("utf-8")
    # Both are on this machine; nothing else of the network's rules is broken.
    assert {code for code in codes if code.startswith("network-")} == {
        "network-blank",
        "network-same-machine",
    }
