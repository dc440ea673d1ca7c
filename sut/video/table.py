"""The results of plays as a table, so that `sut report` and `sut compare` read them as any other.

A row is a play: tracker, interval and number of streams are its place. A table is of one pipeline
and one set of clips. Knows results as video.json has them; runs nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sut.base.errors import ConfigError
from sut.record.table import Row, Table, Value
from sut.record.windows import rates
from sut.video.clips.fingerprint import hash_of
from sut.video.figures import frames_of
from sut.video.sources.address import without_passwords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.video.flow.play import Played

    Result = Mapping[str, Any]

SOURCE = "sut video"
TRACKER, INTERVAL, STREAMS = "tracker", "interval", "streams"
DEVICE = "device"  # of rows of several devices
RATE, MEAN, WORST, P5 = (
    "samples_per_s", "fps_per_stream_mean", "fps_per_stream_worst", "fps_per_stream_p5",
)  # fmt: skip
OBJECTS = "objects_per_frame"
_NS = 1e6
_PLAIN = (
    MEAN, WORST, P5, "frames", "dropped", "inferred", "cpu_cores", "memory_bytes", "power_w",
    "energy_j_per_frame", "utilisation_percent", "decoder_percent", "encoder_percent",
    "device_memory_bytes",
)  # fmt: skip
_TAILS = ("p50", "p90", "p99")
_IDENTITIES = ("hota", "idf1", "mota", "det_a", "ass_a")
_SETTINGS = (
    "decode", "threads", "pace", "rate", "depth", "loop", "duration_s", "lead_s", "host_threads",
)  # fmt: skip


def row_of(
    result: Result,
    more: Mapping[str, Value] | None = None,
    windows: tuple[float, ...] = (),
    folder: str | None = None,
) -> Row:
    """Return a play as a row: `samples_per_s` is frames/s of all streams together.

    Args:
        result: of the play.
        more: further axes, such as {"device": "0"}.
        windows: frames/s in equal parts of the play.
        folder: of the play, relative to the table's.
    """
    return Row(
        point={
            TRACKER: str(result["tracker"]["preset"]),
            INTERVAL: int(result["settings"]["interval"]),
            STREAMS: int(result["settings"]["streams"]),
            **(more or {}),
        },
        figures=_figures(result),
        windows=windows,
        marks=tuple(result["findings"]),
        simulated=bool(result["simulated"]),
        folder=folder,
        labels={"algorithm": str(result["tracker"]["algorithm"])},
    )


def windows_of(played: Played) -> tuple[float, ...]:
    """Return frames/s in equal parts of a play; none of a play with too few frames."""
    done = np.sort(frames_of(played).done_ns).astype(float)
    return rates(done, np.ones(len(done), np.int64), float(played.window.start_ns))


def table_of(
    results: Sequence[Result], rows: Sequence[Row], command: str, environment: Mapping[str, str]
) -> Table:
    """Return rows as a table.

    Args:
        results: one or more plays, which say what was played and how.
        rows: of them, or of plays that failed, too.
        command: repeats it.
        environment: machine and versions by name.

    Raises:
        ConfigError: the results are of different clips or models.
    """
    first = results[0]
    identity = _identity(first)
    for other in results[1:]:
        for what, mine in _identity(other).items():
            if mine != identity.get(what):
                raise ConfigError(
                    f"{first['pipeline']} and {other['pipeline']}: plays of another {what}; "
                    "expected the same in all rows of a table."
                )
    clips = ", ".join(dict.fromkeys(_clip(clip) for clip in first["clips"]))
    return Table(
        title=f"{first['pipeline']} on {clips}",
        source=SOURCE,
        load=str(first["settings"]["pace"]),
        configuration={"Pipeline": str(first["pipeline"]), "Clip": clips, **_configuration(first)},
        identity=identity,
        environment=dict(environment),
        command=without_passwords(command),
        rows=tuple(rows),
    )


def _figures(result: Result) -> dict[str, float]:
    figures, accuracy = result["figures"], result.get("accuracy") or {}
    tracks = accuracy.get("tracks") or {}
    known: dict[str, float | None] = {
        RATE: figures["fps"],
        **{name: figures.get(name) for name in _PLAIN},
        **{f"latency_{p}_ns": _times(figures.get(f"latency_{p}_ms"), _NS) for p in _TAILS},
        OBJECTS: _objects(result),
        "map": accuracy.get("map"),
        **{name: tracks.get(name) for name in _IDENTITIES},
        **{
            f"stage_{name}_busy": stage.get("utilisation")
            for name, stage in figures.get("stages", {}).items()
        },
    }
    return {name: float(value) for name, value in known.items() if value is not None}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _objects(result: Result) -> float | None:
    """Return the mean of the clips' objects a frame; None if one of them is not known."""
    known = [clip[OBJECTS] for clip in result["clips"]]
    return None if not known or None in known else sum(known) / len(known)


def _identity(result: Result) -> dict[str, str]:
    """Return the hashes of models and clips; a simulated stage has no model."""
    models = [stage["model_sha256"] for stage in result["stages"].values()]
    found = {"clip": hash_of(result["clips"])}
    if None not in models:
        found["model"] = hashlib.sha256(json.dumps(models).encode()).hexdigest()
    return found


def _configuration(result: Result) -> dict[str, str]:
    settings = result["settings"]
    stages = {
        f"Stage {name}": f"{stage['benchmark']} on {stage['backend']}, devices "
        f"{','.join(stage['devices'])}, batches up to {stage['max_batch_size']}"
        for name, stage in result["stages"].items()
    }
    return stages | {
        name: str(settings[name]) for name in _SETTINGS if settings.get(name) is not None
    }


def _clip(clip: Mapping[str, Any]) -> str:
    name = str(clip["name"]).rsplit("/", 1)[-1]
    return f"{name} ({clip['codec']}, {clip['width']} x {clip['height']}, {clip['rate']:g} FPS)"
