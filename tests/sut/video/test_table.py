"""Plays as a table: their places, figures and hashes, and what an interval buys."""

from __future__ import annotations

import pytest

from sut.base.errors import ConfigError
from sut.record import table as tables
from sut.video.clips.fingerprint import hash_of
from sut.video.speedup import pareto, speed_ups
from sut.video.table import row_of
from tests.sut.video.plays import judged, play, table


def test_a_play_is_a_row_with_its_place_its_rates_and_its_accuracy() -> None:
    row = row_of(play(100, interval=3, accuracy=judged(0.6)), {"device": "0"})

    assert row.point == {"tracker": "max_perf", "interval": 3, "streams": 4, "device": "0"}
    expected = {
        "samples_per_s": 100, "fps_per_stream_mean": 25, "fps_per_stream_worst": 24,
        "latency_p99_ns": 40e6, "hota": 0.6, "mota": -0.1, "map": 0.5, "objects_per_frame": 5,
        "stage_person_busy": 0.5,
    }  # fmt: skip
    assert row.figures.items() >= expected.items()
    use = {"utilisation_percent": 70.0, "decoder_percent": 97.0, "device_memory_bytes": 5e9}
    on_gpu = play(100)
    on_gpu["figures"] |= use
    assert row_of(on_gpu).figures.items() >= use.items()
    assert not {*use, "encoder_percent"} & row.figures.keys()
    assert not {"memory_bytes", "power_w", "latency_p90_ns"} & row.figures.keys()  # not known


def test_a_table_says_pipeline_clip_and_settings_and_can_be_read_again() -> None:
    whole = table(play(100), play(150, interval=1))

    assert whole.title == "people on street.mp4 (h264, 1920 x 1080, 30 FPS)"
    assert whole.configuration["Stage person"].startswith("nanodet on onnxruntime, devices cpu")
    assert (whole.load, set(whole.identity)) == ("free", {"clip", "model"})
    assert tables.decode(tables.encode(whole), "table.json") == whole


def test_plays_of_different_clips_or_models_are_no_table() -> None:
    with pytest.raises(ConfigError, match="plays of another clip"):
        table(play(100), play(100, clip="d" * 64))

    other = play(100)
    other["stages"]["person"]["model_sha256"] = "b" * 64
    with pytest.raises(ConfigError, match="plays of another model"):
        table(play(100), other)


def test_a_clip_is_known_by_its_file_and_what_it_holds_and_not_by_its_place() -> None:
    (one,) = play(1)["clips"]

    assert hash_of([one]) == hash_of([{**one, "name": "b.mp4", "objects_per_frame": 9.0}])
    for part, value in (("sha256", "d" * 64), ("codec", "hevc"), ("width", 640), ("rate", 25.0)):
        assert hash_of([one]) != hash_of([{**one, part: value}])
    assert hash_of([one, one]) != hash_of([one])
    address = {**one, "sha256": None, "name": "rtsp://a"}
    assert hash_of([address]) != hash_of([{**address, "name": "rtsp://b"}])


def test_a_speed_up_is_told_beside_its_efficiency_and_the_share_that_it_implies() -> None:
    rows = table(
        play(100), play(160, interval=1), play(250, interval=3), play(300, "none", interval=3)
    ).rows

    found = speed_ups(rows)

    assert [one.interval for one in found] == [1, 3]  # without a tracker there is no interval 0
    assert [one.speed_up for one in found] == pytest.approx([1.6, 2.5])
    assert [one.efficiency for one in found] == pytest.approx([0.8, 0.625])
    # Amdahl: if 75 % is inference and half of it is left, the rest is 1 / 1.6 of the time.
    assert found[0].saved_share == pytest.approx(0.75)
    assert found[1].saved_share == pytest.approx(0.8)


def test_the_front_has_the_plays_than_which_none_is_both_faster_and_more_right() -> None:
    slow, mid, worse, fast = table(
        play(100, accuracy=judged(0.9)),
        play(200, interval=1, accuracy=judged(0.8)),
        play(150, interval=2, accuracy=judged(0.7)),
        play(400, interval=3, accuracy=judged(0.3)),
    ).rows

    assert pareto((fast, worse, mid, slow), "hota") == [slow, mid, fast]
    assert pareto([row_of(play(10))], "hota") == []
