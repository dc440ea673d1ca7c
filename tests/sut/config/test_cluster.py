"""The file of a cluster, and the settings of a run on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data.benchmark import load_benchmark
from sut.base.errors import ConfigError
from sut.config.arguments import Arguments
from sut.config.cluster import (
    check_name,
    definition_sha256,
    is_loopback,
    is_of_this_machine,
    own_name,
    parse_address,
    read_cluster,
)
from sut.config.plan import resolve

ALPHA = "{name: alpha, address: '127.0.0.1:7700', devices: ['0', '1']}"
BETA = "{name: beta, address: '127.0.0.1:7701', devices: ['0']}"


def written(folder: Path, text: str) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def asked(path: Path) -> Arguments:
    return Arguments(
        benchmark="resnet50",
        scenario="Server",
        backend="simulated",
        cluster=path,
        device_max_batch_size={"beta/0": 3},
    )


def test_every_device_of_every_node_is_a_device_of_the_run(tmp_path: Path) -> None:
    path = written(tmp_path, f"keys: secrets\nnodes: [{ALPHA}, {BETA}]")

    harness = resolve(asked(path)).harness

    assert harness.devices == ("alpha/0", "alpha/1", "beta/0")
    assert [name for name, _ in harness.worker_devices()] == [
        "alpha/device 0",
        "alpha/device 1",
        "beta/device 0",
    ]
    assert harness.workers == "remote"
    assert harness.local_devices == ()
    assert harness.remote is not None
    assert harness.remote.keys == str(tmp_path / "secrets")


def test_engines_for_each_core_are_one_on_a_node_whose_cores_nobody_knows(tmp_path: Path) -> None:
    on_cpu = BETA.replace("['0']", "[cpu]")
    path = written(tmp_path, f"nodes: [{on_cpu}]")
    arguments = Arguments(benchmark="efficientnet-lite0", scenario="Offline", cluster=path)

    instances = resolve(arguments).settings["instances"]

    assert instances.value == 1
    assert "a node's cores are not known here" in instances.source


def test_a_node_gets_its_own_devices_by_their_own_names(tmp_path: Path) -> None:
    harness = resolve(asked(written(tmp_path, f"nodes: [{ALPHA}, {BETA}]"))).harness
    assert harness.remote is not None

    alpha, beta = (harness.of_node(node) for node in harness.remote.nodes)

    assert (alpha.devices, alpha.device_max_batch_size) == (("0", "1"), {})
    assert (beta.devices, beta.device_max_batch_size) == (("0",), {"0": 3})
    assert (beta.workers, beta.remote) == ("process", None)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("nodes: []", "cluster.yaml:1: nodes is empty; expected one or more"),
        (f"nodes: [{ALPHA}, {ALPHA}]", 'two nodes have the name "alpha"'),
        (f"nodes: [{ALPHA}, {BETA.replace('7701', '7700')}]", "two nodes have the address"),
        (f"nodes: [{ALPHA}]\nnode: 1", 'Did you mean "nodes"?'),
        (f"nodes: [{ALPHA.replace('127.0.0.1', '10.0.0.1')}]", "sut cluster keys DIR"),
        (f"nodes: [{ALPHA.replace(':7700', '')}]", "expected HOST:PORT"),
        ("nodes: [{name: a b, address: 'localhost:1', devices: ['0']}]", "nodes[0].name"),
        ("nodes: [{name: a, address: 'localhost:1', devices: ['0', '0']}]", "each once"),
    ],
)
def test_a_file_that_no_run_could_use_is_refused_with_its_line(
    tmp_path: Path, text: str, fragment: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read_cluster(written(tmp_path, text))

    assert fragment in str(refused.value)


@pytest.mark.parametrize("name", ["a b", "", "-a", "alpha/0"])
def test_a_node_may_not_be_called_what_no_cluster_file_could_say(name: str) -> None:
    with pytest.raises(ConfigError, match="such as gpu-7"):
        check_name(name)


@pytest.mark.parametrize(
    ("option", "value"), [("devices", ("0",)), ("workers", "thread"), ("affinity", "0:0")]
)
def test_nothing_that_the_cluster_decides_may_be_asked_for(
    tmp_path: Path, option: str, value: object
) -> None:
    path = written(tmp_path, f"nodes: [{ALPHA}]")
    both = replace(Arguments("resnet50", "Server", cluster=path), **{option: value})  # type: ignore[arg-type]  # one of three fields

    with pytest.raises(ConfigError, match=f"--{option} and --cluster"):
        resolve(both)


@pytest.mark.parametrize(
    ("address", "expected", "local"),
    [
        ("127.0.0.1:7700", ("127.0.0.1", 7700), True),
        ("localhost:1", ("localhost", 1), True),
        ("[::1]:80", ("::1", 80), True),
        ("10.1.2.3:65535", ("10.1.2.3", 65535), False),
        ("gpu-7.example:7700", ("gpu-7.example", 7700), False),
    ],
)
def test_an_address_is_split_and_known_as_loopback_or_not(
    address: str, expected: tuple[str, int], local: bool
) -> None:
    assert parse_address(address) == expected
    assert is_loopback(address) is local


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1:7700", True), ("192.0.2.1:7700", False)],  # RFC 5737: nobody's
)
def test_an_address_of_this_machine_is_known(address: str, here: bool) -> None:
    assert is_of_this_machine(address) is here


@pytest.mark.parametrize("address", ["", "7700", "::1:7700", "host:", "host:99999", ":7700"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        parse_address(address)


def test_a_device_keeps_its_own_name_whatever_is_in_it() -> None:
    assert own_name("alpha/MIG-GPU-1/0/0") == "MIG-GPU-1/0/0"


def test_a_definition_has_one_hash_wherever_its_file_lies(tmp_path: Path) -> None:
    shipped = load_benchmark("resnet50")
    copied = tmp_path / "resnet50.yaml"
    text = shipped.file.read_text("utf-8")
    copied.write_text(text, "utf-8")
    changed = tmp_path / "changed.yaml"
    changed.write_text(text.replace("size: 256", "size: 255", 1), "utf-8")

    own, copy, other = (
        definition_sha256(load_benchmark(str(name))) for name in ("resnet50", copied, changed)
    )

    assert own == copy
    assert own != other


def test_nodes_hear_that_samples_are_pixels_which_are_another_definition(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text('nodes: [{name: alpha, address: "127.0.0.1:7700", devices: [cpu]}]', "utf-8")
    asked = Arguments("efficientnet-lite0", "Offline", cluster=file, network="jpeg")

    floats, pixels = (resolve(replace(asked, pixels=on)).harness.remote for on in (None, True))

    assert floats is not None
    assert pixels is not None
    assert (floats.pixels, pixels.pixels) == (None, True)
    assert floats.definition != pixels.definition
