"""What a test was made of is read back from its run folder, or refused with the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.base.errors import DataError
from sut.submission.ran import RanData, RanModel, read_precisions, read_ran

CONFIG = """benchmark: {name: own, file: own.yaml}
harness:
  max_batch_size: {value: 8, source: default}
  devices: {value: [cpu], source: default}
model: {path: /m.onnx, sha256: ab, origin: a file}
data: {description: images, count: 20, digest: cd}
"""


def test_settings_model_and_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, "utf-8")

    ran = read_ran(tmp_path)

    assert {name: setting.value for name, setting in ran.harness.items()} == {
        "max_batch_size": 8,
        "devices": ["cpu"],
    }
    assert ran.model == RanModel("/m.onnx", "ab", "a file")
    assert ran.data == RanData(20, "cd")


def test_a_backend_without_a_model_has_none(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("harness: {}\nmodel: null\ndata: null\n", "utf-8")

    ran = read_ran(tmp_path)

    assert (ran.model, ran.data) == (None, None)


def test_an_engine_that_states_no_precision_has_none(tmp_path: Path) -> None:
    text = '{"engines": [{"precision": "float16"}, {"simulated": true}]}'
    (tmp_path / "environment.json").write_text(text, "utf-8")

    assert read_precisions(tmp_path) == ["float16", None]


@pytest.mark.parametrize("text", [None, "harness: 3\n", "harness: {}\n", "{", "\x00"])
def test_a_damaged_config_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text, "utf-8")

    with pytest.raises(DataError, match=r"config\.yaml: "):
        read_ran(tmp_path)


@pytest.mark.parametrize("content", [None, b"[]", b'{"engines": 1}', b"\xff"])
def test_a_damaged_environment_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "environment.json").write_bytes(content)

    with pytest.raises(DataError, match=r"environment\.json: "):
        read_precisions(tmp_path)
