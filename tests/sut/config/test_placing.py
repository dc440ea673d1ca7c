"""The section `ray` of a cluster file, and what a node takes of Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.errors import ConfigError
from sut.config.cluster import read_cluster, read_cluster_file
from sut.config.placing import PLACED_FILE, misfit, state_folder, takes

if TYPE_CHECKING:
    from pathlib import Path

NODES = "nodes: [{name: alpha, devices: ['0', '1']}, {name: beta, devices: [cpu]}]\n"
SECOND = "{name: second, address: 10.0.0.2, reach: [ssh, user@10.0.0.2]}"
THIRD = "{name: third, address: 10.0.0.2, reach: [ssh, user@10.0.0.3]}"


def written(folder: Path, text: str) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nodes_need_no_address_where_ray_finds_them_a_place(tmp_path: Path) -> None:
    found = read_cluster_file(written(tmp_path, f"{NODES}ray: {{placing: packed}}"))

    assert found.ray is not None
    assert (found.ray.placing, found.ray.listen) == ("packed", "127.0.0.1")
    assert [node.host for node in found.nodes] == [None, None]


def test_a_run_on_nodes_that_are_not_up_says_how_to_start_them(tmp_path: Path) -> None:
    path = written(tmp_path, f"{NODES}ray: {{}}")

    with pytest.raises(ConfigError, match=f"not up.*sut cluster up {path}"):
        read_cluster(path)


def test_a_run_reads_where_ray_has_put_the_nodes(tmp_path: Path) -> None:
    path = written(tmp_path, f"{NODES}ray: {{}}")
    state_folder(path).mkdir()
    (state_folder(path) / PLACED_FILE).write_text(
        "nodes: [{name: alpha, address: '127.0.0.1:5', devices: ['0', '1']}]", encoding="utf-8"
    )

    (node,) = read_cluster(path).nodes

    assert (node.name, node.address, node.host) == ("alpha", "127.0.0.1:5", "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NODES, "node alpha has no address"),
        ("nodes: [{name: a, devices: ['2', '3']}]\nray: {}", "a are 2, 3; expected 0, 1: Ray"),
        (f"{NODES}ray: {{placing: wide}}", '"wide"; expected one of spread, packed'),
        (f"{NODES}ray: {{address: 'h:1', resources: {{t4: 1}}}}", "resources is given beside"),
        (f"{NODES}ray: {{address: 'h:1', machines: [{SECOND}]}}", "machines is given beside"),
        (f"{NODES}ray: {{machines: [{SECOND}]}}", "listen is 127.0.0.1"),
        (f"{NODES}ray: {{listen: 10.0.0.1, machines: [{SECOND}, {THIRD}]}}", '"10.0.0.2"'),
        (f"{NODES}ray: {{restarts: -1}}", "restarts"),
    ],
)
def test_what_no_ray_could_do_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read_cluster_file(written(tmp_path, text))

    assert str(caught.value).startswith(f"{tmp_path / 'cluster.yaml'}:")


def test_a_device_takes_one_of_its_resource_and_an_address_its_machine() -> None:
    assert takes(["0", "1", "cpu"], None, None) == {"GPU": 2, "CPU": 1}
    assert takes(["7", "9"], "t4", None) == {"t4": 2}
    assert takes(["0"], None, "10.0.0.2") == {"GPU": 1, "node:10.0.0.2": 0.001}


def test_a_node_that_no_machine_could_hold_is_named_with_what_there_is() -> None:
    offered = {"10.0.0.1": {"GPU": 1.0, "CPU": 8.0}, "10.0.0.2": {"CPU": 8.0}}

    assert misfit({"alpha": {"GPU": 1}, "beta": {"CPU": 8}}, offered) is None
    assert misfit({"alpha": {"CPU": 1}, "beta": {"GPU": 2}}, offered) == (
        "node beta takes 2 GPU, and no machine has that: 10.0.0.1 has 1 GPU; 10.0.0.2 has 0 GPU"
    )
