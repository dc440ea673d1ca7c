"""The result of a run: written as summary.json and read back, also from older versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import DataError
from sut.record.result import SCHEMA, decode, to_dict
from sut.record.run_folder import RunFolder, read_result

if TYPE_CHECKING:
    from collections.abc import Callable

# As `sut run` wrote it before there was a schema number.
SCHEMA_1 = (Path(__file__).parent / "summary_schema_1.json").read_bytes()

Summary = dict[str, object]


def edited(change: Callable[[Summary], object]) -> bytes:
    """Return the old summary with a change."""
    summary = json.loads(SCHEMA_1)
    change(summary)
    return json.dumps(summary).encode()


def test_an_older_summary_is_read() -> None:
    result = decode(SCHEMA_1, "summary.json")

    assert (result.schema, result.scenario, result.valid) == (1, "Server", False)
    assert result.metric is not None
    assert (result.metric.value, result.metric.unit) == (293.338, "samples/s")
    assert result.latency_ns is not None
    assert result.latency_ns.by_name()["p999"] == 6471168
    assert result.batches.histogram == {1: 271, 2: 13, 3: 1}
    assert result.device_telemetry is not None
    assert result.device_telemetry.devices["1"].energy_from == "counter"
    assert result.issue_stalls is not None
    assert result.rate == pytest.approx(300 / 1.019301404)


def test_the_first_summaries_lack_keys_and_have_empty_ones() -> None:
    def change(summary: Summary) -> None:
        for key in ("device_telemetry", "findings", "issue_stalls"):
            del summary[key]
        summary |= {"latency_ns": {}, "parts_ns": {}}
        summary["harness"] = {
            "engine_busy_fraction": {"device 0": 0.5},
            "warm_up": {"samples_per_s": 300.0, "latency_ns": 2e6},
        }

    result = decode(edited(change), "summary.json")

    assert (result.latency_ns, result.parts_ns, result.findings) == (None, None, ())
    assert (result.device_telemetry, result.issue_stalls) == (None, None)
    assert result.harness.warm_up is not None
    assert result.harness.warm_up.peak_samples_per_s == 300.0


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    result = decode(edited(lambda summary: summary.update(schema=SCHEMA)), "summary.json")

    with RunFolder(tmp_path / "run") as folder:
        folder.write_result(result)

    assert read_result(tmp_path / "run") == result
    assert read_result(tmp_path / "run" / "summary.json") == result


def test_every_key_of_the_older_summary_is_still_written() -> None:
    written = json.loads(json.dumps(to_dict(decode(SCHEMA_1, "summary.json"))))

    older = json.loads(SCHEMA_1)
    older["harness"]["warm_up"]["max_batch_size"] = 0  # not known
    use = (
        *("sm_percent", "sm_occupancy_percent", "tensor_percent", "dram_percent"),
        *("decoder_percent", "encoder_percent"),
    )
    for device in older["device_telemetry"]["devices"].values():
        device.update(dict.fromkeys(use))
    assert written == {**older, "schema": 1, "trace": None, "tail": None, "client_parts": None}


def test_a_device_that_does_not_tell_leaves_no_most() -> None:
    telemetry = decode(SCHEMA_1, "summary.json").device_telemetry

    assert telemetry is not None
    assert telemetry.most("peak_power_w") == pytest.approx(25.759210995367212)
    assert telemetry.most("memory_used_bytes") is None


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        (b"", "runs/7/summary.json"),
        (b"[]", "runs/7/summary.json"),
        (b'{"a": "\xff"}', "runs/7/summary.json"),
        (b'{"a": ' + b"[" * 100_000, "runs/7/summary.json"),
        (edited(lambda summary: summary.pop("valid")), "valid"),
        (edited(lambda summary: summary.update(samples="many")), r"samples"),
        (edited(lambda summary: summary.update(schema=SCHEMA + 1)), f"schema {SCHEMA + 1}"),
        (edited(lambda summary: summary.update(schema="two")), "schema"),
        (json.dumps({"kind": "max-streams", "max_streams": 3}).encode(), "result of `sut run`"),
    ],
)
def test_what_is_no_result_is_refused(text: bytes, fragment: str) -> None:
    with pytest.raises(DataError, match=fragment):
        decode(text, "runs/7/summary.json")


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder of a run that ended"):
        read_result(tmp_path)
