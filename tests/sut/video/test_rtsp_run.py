"""`sut video run` on streams of a real RTSP server, most of which go wrong at the same time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from sut.cli import main
from tests.sut.video.made import detect, write_pipeline

pytest.importorskip("av")
from tests.sut.helpers.rtsp import COUNT, USER, rtsp_server

if TYPE_CHECKING:
    from pathlib import Path

PATHS = ("clip", "leaves", "stalls", "404", "mute", "locked")


@pytest.mark.parametrize("readers", ["0", "2"])
def test_streams_that_go_wrong_are_named_and_the_others_come_to_their_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], readers: str
) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    out = tmp_path / "out"

    with rtsp_server() as server:
        addresses = [server.address(path, USER) for path in PATHS]
        sources = [word for address in addresses for word in ("--source", address)]
        words = ["--streams", "6", "--stall-s", "0.4", "--backend", "null", "--depth", "30"]
        words += ["--readers", readers, "--out", str(out)]
        code = main(["video", "run", str(path), *sources, *words])

    assert code == 3
    result = json.loads((out / "video.json").read_text("utf-8"))
    delivered = {
        name: stream["delivered"] for name, stream in zip(PATHS, result["streams"], strict=True)
    }
    assert delivered == {
        "clip": COUNT, "leaves": 2, "stalls": 2, "404": 0, "mute": 0, "locked": COUNT,
    }  # fmt: skip
    named = dict(enumerate(stream["problem"] for stream in result["streams"]))
    assert named[0] is named[5] is None
    for place, part in {1: "went away", 2: "it stalls", 3: "404 Not Found", 4: "no answer"}.items():
        assert part in named[place]
        assert f"stream {place} ended early: {named[place]}" in result["findings"]
    assert [clip["live"] for clip in result["clips"]] == [True] * len(PATHS)
    assert yaml.safe_load((out / "config.yaml").read_text("utf-8"))["settings"]["stall_s"] == 0.4
    written = b"".join(file.read_bytes() for file in out.glob("*.[jy]*"))
    assert b"guard:***@" in written
    assert b"s3cret" not in written + "".join(capsys.readouterr()).encode()
