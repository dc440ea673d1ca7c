"""Results of plays, as video.json has them, with the figures that a test asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sut.video.table import row_of, table_of

if TYPE_CHECKING:
    from sut.record.table import Table

CLIP = "c" * 64


def play(  # noqa: PLR0913 - what tests vary
    fps: float,
    tracker: str = "max_perf",
    interval: int = 0,
    streams: int = 4,
    accuracy: dict[str, Any] | None = None,
    clip: str | None = CLIP,
    objects: float | None = 5.0,
    pipeline: str = "people",
) -> dict[str, Any]:
    """Return the result of a play in which all streams together had `fps` frames/s."""
    result: dict[str, Any] = {
        "pipeline": pipeline,
        "simulated": False,
        "settings": {
            "interval": interval, "streams": streams, "pace": "free", "decode": "cpu", "rate": None,
        },
        "clips": [
            {
                "name": "/clips/street.mp4", "sha256": clip, "codec": "h264", "width": 1920,
                "height": 1080, "rate": 30.0, "objects_per_frame": objects,
            }
        ],
        "tracker": {"preset": tracker, "algorithm": "iou", "parameters": {}},
        "stages": {
            "person": {
                "benchmark": "nanodet", "model_sha256": "a" * 64, "backend": "onnxruntime",
                "devices": ["cpu"], "max_batch_size": 8,
            }
        },
        "figures": {
            "fps": fps,
            "fps_per_stream_mean": fps / streams,
            "fps_per_stream_worst": fps / streams - 1,
            "fps_per_stream_p5": fps / streams - 1,
            "latency_p50_ms": 20.0,
            "latency_p99_ms": 40.0,
            "dropped": 0,
            "memory_bytes": None,
            "stages": {"person": {"utilisation": 0.5}},
        },
        "findings": [],
    }  # fmt: skip
    if accuracy is not None:
        result["accuracy"] = accuracy
    return result


def table(*results: dict[str, Any]) -> Table:
    """Return plays as a table."""
    return table_of(results, [row_of(result) for result in results], "sut video run", {"cpu": "x"})


def judged(hota: float) -> dict[str, Any]:
    """Return an accuracy."""
    return {"map": 0.5, "tracks": {"hota": hota, "idf1": 0.7, "mota": -0.1}}
