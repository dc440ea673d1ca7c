"""`sut check` finds every breach of the network division's rules that a tree can show."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from sut.submission.check import check
from tests.sut.submission.helpers.good_tree import (
    QDL,
    SCENARIOS,
    Tree,
    codes,
    make_tree,
    to_network,
    to_open,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sut.submission.check import Report


def warnings(report: Report) -> set[str]:
    return {finding.code for finding in report.findings if finding.severity == "warning"}


def named(tree: Tree, name: str) -> None:
    for part in ("performance", "accuracy"):
        tree.record("sut_name", name, part=part)


def qdl(tree: Tree, **fields: object) -> None:
    tree.edit(tree.result() / "measurements.json", network={**QDL, **fields})


@pytest.fixture(scope="module")
def good_network(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return to_network(make_tree(tmp_path_factory.mktemp("network")))


@pytest.fixture
def network(good_network: Tree, tmp_path: Path) -> Tree:
    shutil.copytree(good_network.root, tmp_path / "tree")
    return Tree(tmp_path / "tree", division="network")


def test_a_good_network_tree_has_only_the_warning_that_its_suite_may_not_count(
    good_network: Tree,
) -> None:
    report = check(good_network.root)

    assert codes(report) == set()
    assert [finding.code for finding in report.findings] == ["network-suite"] * len(SCENARIOS)


FAULTS: Mapping[str, tuple[Callable[[Tree], object], str]] = {
    "two nodes of one name": (
        lambda t: named(t, "Multi-Node SUT: Network SUT a, Network SUT a"),
        "network-nodes",
    ),
    "a name that is not of a network SUT": (lambda t: named(t, "PyFastSUT"), "network-name"),
    "a node that was not asked for its name": (
        lambda t: t.edit(t.system_json, number_of_nodes="3"),
        "network-nodes",
    ),
    "a name without a round trip": (
        lambda t: t.record("get_sut_name_duration_ns", 440),
        "network-round-trip",
    ),
    "a QDL that batches queries": (lambda t: qdl(t, messages=4_000), "network-batches"),
    "a QDL that sends several samples in a message": (
        lambda t: qdl(t, samples=240_000),
        "network-batches",
    ),
    "two nodes on one machine": (
        lambda t: qdl(t, machines=["loadgen", "a", "a"]),
        "network-same-machine",
    ),
    "a node on LoadGen's machine": (
        lambda t: qdl(t, machines=["loadgen", "loadgen"]),
        "network-same-machine",
    ),
    "a bus": (lambda t: t.edit(t.system_json, network_type="NVLink 4"), "network-fabric"),
    "a bus in the medium": (
        lambda t: t.edit(t.system_json, network_media="PCIe cable"),
        "network-fabric",
    ),
    "no network at all": (
        lambda t: t.edit(t.system_json, network_type="loopback"),
        "network-fabric",
    ),
    "a fabric that is not permitted": (
        lambda t: t.edit(t.system_json, network_type="Omni-Path"),
        "network-fabric",
    ),
    "a field left blank": (lambda t: t.edit(t.system_json, nic_sut=""), "network-blank"),
    "a field missing": (lambda t: t.edit(t.system_json, nic_sut=None), "system-field"),
    "a network slower than what it carried": (
        lambda t: t.edit(t.system_json, network_rate="100 Mb/s"),
        "network-rate",
    ),
    "an edge system": (lambda t: t.edit(t.system_json, system_type="edge"), "network-suite"),
    "no diagram": (lambda t: t.remove(t.folder / "documentation/network.svg"), "network-diagram"),
    "nothing about the QDL": (
        lambda t: t.remove(t.folder / "documentation/network.md"),
        "network-papers",
    ),
    "a system of the closed division": (
        lambda t: t.edit(t.system_json, is_network="false"),
        "network-division",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_breach_of_a_rule_is_named(name: str, network: Tree) -> None:
    plant, code = FAULTS[name]
    plant(network)

    report = check(network.root)

    assert code in codes(report)
    assert not any("\n" in str(finding) for finding in report.findings)


def test_compression_needs_approval_and_is_a_warning(network: Tree) -> None:
    qdl(network, format="jpeg")

    report = check(network.root)

    assert (codes(report), warnings(report)) == (set(), {"network-compression", "network-suite"})


def test_a_description_of_the_qdl_may_be_a_pdf_however_its_name_is_written(network: Tree) -> None:
    papers = network.folder / "documentation"
    (papers / "network.md").rename(papers / "NETWORK.PDF")
    (papers / "NETWORK.PDF").write_bytes(b"%PDF-1.7, whose words are compressed")

    assert "network-papers" not in codes(check(network.root))


def test_in_open_a_rule_of_the_network_division_is_a_warning(tree: Tree) -> None:
    opened = to_open(tree)
    folder = to_network_fields(opened)
    qdl(opened, machines=["one", "one"])

    report = check(folder)

    assert codes(report) == set()
    assert {"network-same-machine", "network-fabric"} <= warnings(report)


def to_network_fields(opened: Tree) -> Path:
    """Say that the system is reached over a network, which is a loopback."""
    from sut.submission.network import NETWORK_FIELDS

    fields = {**dict.fromkeys(NETWORK_FIELDS, "some"), "network_type": "loopback"}
    opened.edit(opened.system_json, is_network="true", **fields)
    for scenario in SCENARIOS:
        for part in ("performance", "accuracy"):
            opened.record("sut_name", "Network SUT a", scenario=scenario, part=part)
    opened.add("result_query_count", 30_000)
    return opened.root
