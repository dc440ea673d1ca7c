"""The system's description, the truncated log, and the two layouts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from sut.base.errors import ConfigError
from sut.submission import system
from sut.submission.layout import Place, Submitter
from sut.submission.truncate import MAX_BYTES, place_accuracy


def complete() -> dict[str, object]:
    found: dict[str, object] = {**dict.fromkeys((*system.NEEDED, *system.PRESENT), "some")}
    return found | {
        "status": "available",
        "system_type": "edge",
        "number_of_nodes": 1,
        "host_processors_per_node": 2,
        "accelerators_per_node": "0",
    }


def test_the_machine_describes_itself_and_invents_nothing() -> None:
    found = system.describe()

    assert set(found) == {*system.NEEDED, *system.PRESENT}
    assert found["host_processor_model_name"]
    assert found["operating_system"]
    assert system.problems(found) == []
    assert {"status", "system_type", "system_name", "cooling"} <= set(system.blanks(found))
    assert not {"submitter", "division"} & set(system.blanks(found))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("status", "soon", 'status is "soon"'),
        ("system_type", "laptop", 'system_type is "laptop"'),
        ("number_of_nodes", "two", 'number_of_nodes is "two"'),
        ("cooling", "", "blank: cooling"),
        ("host_networking", "  ", "blank: host_networking"),
        ("accelerators_per_node", 0, "blank: accelerators_per_node"),
    ],
)
def test_a_field_that_is_wrong_or_blank_is_named_in_one_line(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    (tmp_path / "system.json").write_text(json.dumps({**complete(), field: value}), "utf-8")

    with pytest.raises(ConfigError) as refused:
        system.load(tmp_path, "mine", fast=False)

    assert said in str(refused.value)
    assert "sut doctor --system-json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_description_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sut doctor --system-json"):
        system.load(tmp_path, "mine", fast=False)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    content = {name: value for name, value in complete().items() if name != "hw_notes"}
    (tmp_path / "system.json").write_text(json.dumps(content), "utf-8")

    with pytest.raises(ConfigError, match='"hw_notes"'):
        system.load(tmp_path, "mine", fast=False)


def test_the_fast_path_marks_what_is_blank(tmp_path: Path) -> None:
    found = system.load(tmp_path, "mine", fast=True)

    assert found["cooling"] == system.PLACEHOLDER
    assert "cooling" in system.blanks(found)


def test_a_complete_description_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "system.json").write_text(json.dumps(complete()), "utf-8")

    assert system.load(tmp_path, "mine", fast=False) == complete()


@pytest.mark.parametrize(
    ("size", "cut"), [(100, False), (4095, False), (4096, True), (50_000, True)]
)
def test_a_log_keeps_its_two_ends_and_the_hash_of_the_whole(
    tmp_path: Path, size: int, cut: bool
) -> None:
    whole = tmp_path / "whole.json"
    content = bytes(65 + k % 26 for k in range(size))
    whole.write_bytes(content)

    place_accuracy(whole, "accuracy=76.456%, good=1, total=2", tmp_path)

    found = (tmp_path / "mlperf_log_accuracy.json").read_bytes()
    expected = content[:4096] + b"\n\n...\n\n" + content[-4096:] if cut else content
    assert found == expected
    assert len(found) <= MAX_BYTES
    digest = hashlib.sha256(content).hexdigest()
    assert (tmp_path / "accuracy.txt").read_text("utf-8") == (
        f"accuracy=76.456%, good=1, total=2\n\nhash={digest}\n"
    )


def test_the_layout_of_v6_keeps_everything_of_a_result_in_one_folder() -> None:
    place = Place(Submitter(Path("t"), "flat", "closed", "Acme"), "host", "resnet50", "Server")

    assert place.folders() == [
        Path("t/closed/Acme/results/host/resnet50/Server"),
        Path("t/closed/Acme/compliance/host/resnet50/Server"),
    ]
    assert place.measurements_json == place.results / "measurements.json"
    assert place.audit("TEST01") == place.results / "TEST01"
    assert place.submitter.source == Path("t/closed/Acme/src")


def test_the_layout_of_v5_1_keeps_measurements_and_compliance_apart() -> None:
    place = Place(Submitter(Path("t"), "split", "closed", "Acme"), "host", "resnet50", "Server")

    assert place.results == Path("t/closed/Acme/results/host/resnet50/Server")
    assert place.measurements_json == Path(
        "t/closed/Acme/measurements/host/resnet50/Server/host_Server.json"
    )
    assert place.audit("TEST04") == Path("t/closed/Acme/compliance/host/resnet50/Server/TEST04")
    assert place.submitter.source == Path("t/closed/Acme/code")
