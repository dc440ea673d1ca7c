"""Runs a pipeline over clips: from settings to a result, and its run folder.

Knows no command line; a play of one number of streams is `sut.video.flow.play`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from sut.base.files import sha256_file
from sut.base.resident import reset_peak, resident
from sut.record import trace
from sut.telemetry.recorder import Recorder
from sut.video.devices import device_figures
from sut.video.figures import figures, frames_of, rate_of
from sut.video.flow.play import Play, Stages
from sut.video.flow.settings import PlaySettings
from sut.video.flow.stage import facts_of
from sut.video.progress import Progress
from sut.video.sources.address import without_passwords
from sut.video.sources.choose import (
    Decoding,
    clips_of,
    names_of,
    open_each,
    open_sources,
    shares_of,
)
from sut.video.track.presets import open_tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sut.telemetry.recorder import Seen
    from sut.video.flow.apart.readers import ReaderProcesses
    from sut.video.flow.play import Played
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Sink
    from sut.video.flow.stage import StagePlan
    from sut.video.pipeline_file import Pipeline
    from sut.video.sources.base import Source

    # From a window and its number of frames to what devices reported in it.
    Devices = Callable[[trace.Window, int], Seen]

FRAMES_FILE = "frames.npz"
RESULT_FILE = "video.json"


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """One play of a pipeline.

    Attributes:
        pipeline: loaded.
        plans: of its stages.
        sources: as the user named them.
        streams: how many.
        decoding: how clips are decoded.
        settings: how streams run.
        tracker: a preset.
    """

    pipeline: Pipeline
    plans: Sequence[StagePlan]
    sources: tuple[str, ...]
    streams: int
    decoding: Decoding
    settings: PlaySettings
    tracker: str

    @property
    def rate(self) -> float | None:
        """Of every stream, if the user named it."""
        return self.settings.pacing.rate


def play(
    stages: Stages,
    request: VideoRequest,
    sink: Sink,
    devices: Devices | None = None,
    processes: ReaderProcesses | None = None,
) -> tuple[Played, dict[str, object]]:
    """Run the streams once through open stages.

    Args:
        stages: open.
        request: what runs.
        sink: gets the frames; it is closed.
        devices: says what devices reported in a window, with so many frames.
        processes: read the streams where `settings.readers` asks for them.

    Returns:
        What was measured, and the result as plain values.

    Raises:
        SutError: a clip cannot be opened, an engine failed, or the pipeline itself.
    """
    clips = clips_of(request.sources)
    if not request.settings.readers:
        processes = None
    sources = _open(clips, request, processes)
    trackers = [open_tracker(request.tracker, request.rate or s.facts.rate) for s in sources]
    described = dict(trackers[0].describe())
    reset_peak()
    streams = list(zip(sources, trackers, strict=True))
    try:
        played = Play(stages, request.settings, streams, sink, processes).run(Progress())
    finally:
        files = sink.close()
    memory = resident()
    found = figures(played, stages.all)
    found["memory_bytes"] = None if memory is None else memory.peak + played.readers_bytes
    told = () if devices is None else _add_devices(devices, request, played, found)
    result = {
        "schema": 1,
        "kind": "video",
        "pipeline": request.pipeline.spec.name,
        "simulated": any(stage.simulated for stage in stages.all),
        "settings": settings_of(request),
        "clips": _clips(clips, played.records),
        "tracker": described,
        "stages": {stage.name: dict(facts_of(stage)) for stage in stages.all},
        "figures": found,
        "streams": [_stream(record, played) for record in played.records],
        "findings": [*findings(played, request.settings), *told],
        "files": files,
    }
    return played, result


def _open(
    clips: Sequence[str], request: VideoRequest, processes: ReaderProcesses | None
) -> list[Source]:
    """Open the sources of a play, here or where they are read."""
    streams = request.streams
    if processes is None:
        return open_sources(clips, streams, request.decoding)
    count = min(streams, request.settings.readers)
    names = names_of(clips, streams)
    how = request.decoding
    shares = shares_of(streams, how)
    opens = [partial(open_each, names[k::count], how, shares[k::count]) for k in range(count)]
    return processes.open(opens)


def recorder_of(plans: Sequence[StagePlan], folder: Path, decoding: Decoding) -> Recorder:
    """Return what samples the devices of stages and decoder."""
    backend, devices = sampled(plans, decoding)
    return Recorder(backend, devices, folder)


def sampled(plans: Sequence[StagePlan], decoding: Decoding) -> tuple[str, list[str]]:
    """Return which devices are sampled, GPUs where there are any, and a backend that names them."""
    on_gpu = [plan for plan in plans if any(d.isdecimal() for d in plan.harness.devices)]
    devices = dict.fromkeys(d for plan in on_gpu or plans for d in plan.harness.devices)
    if decoding.decode == "nvdec":
        devices[str(decoding.device)] = None
    return (on_gpu or plans)[0].harness.backend, list(devices)


def _add_devices(
    devices: Devices, request: VideoRequest, played: Played, found: dict[str, object]
) -> tuple[str, ...]:
    """Add what devices reported to the figures; return what makes them doubtful."""
    frames = found["frames"]
    assert isinstance(frames, int), "a number of frames"
    seen = devices(trace.Window(played.window.start_ns, played.window.end_ns), frames)
    if seen.telemetry is not None:
        found.update(device_figures(seen.telemetry, request.decoding))
    return seen.findings


def configuration(request: VideoRequest, command: str) -> dict[str, object]:
    """Return all that repeats a play, for config.yaml."""
    plain: dict[str, object] = msgspec.to_builtins(
        {
            "command": without_passwords(command),
            "pipeline": request.pipeline.spec,
            "file": str(request.pipeline.file),
            "settings": settings_of(request),
            "tracker": request.tracker,
            "stages": {plan.spec.name: plan.harness for plan in request.plans},
        }
    )
    return plain


def save_frames(played: Played, path: Path) -> None:
    """Write the times of every frame that came through in the window.

    Columns of `rows`: number, due, done, then the parts that `names` names; ns on one clock.
    """
    frames = frames_of(played)
    np.savez_compressed(
        path, stream=frames.stream, rows=frames.rows, names=np.array(played.names.all)
    )


def findings(played: Played, settings: PlaySettings) -> list[str]:
    """Return what makes the result doubtful or incomplete, a line each, streams in order."""
    found: list[str] = []
    for record in played.records:
        name = f"stream {record.stream}"
        if record.problem is not None:
            found.append(f"{name} ended early: {record.problem}")
        found += [f"{name}: {note}" for note in record.notes]
        if record.dropped:
            share = record.dropped / max(1, record.decoded)
            found.append(
                f"{name} dropped {record.dropped} of {record.decoded} frames ({share:.1%}): "
                f"{record.dropped_full} found no room, {record.dropped_late} came late from "
                "source or decoder"
            )
        wanted = settings.pacing.rate or record.clip.rate
        rate = rate_of(record, played.window)
        live = settings.pacing.pace == "live" or record.clip.live
        slow = live and record.problem is None and not record.dropped
        if slow and rate < _SLOW * wanted:
            found.append(f"{name}: its source gives {rate:.1f} of {wanted:g} frames/s")
    return found


_SLOW = 0.9  # of the rate; a short play has fewer frames at its ends


def is_whole(result: Mapping[str, object]) -> bool:
    """Say whether every stream came to its end."""
    streams = result["streams"]
    assert isinstance(streams, list), "made above"
    return all(stream["problem"] is None for stream in streams)


def settings_of(request: VideoRequest) -> dict[str, object]:
    """Return the settings of a play as plain values."""
    settings = asdict(request.settings)
    return {
        "sources": [without_passwords(name) for name in request.sources],
        "streams": request.streams,
        **asdict(request.decoding),
        **settings.pop("pacing"),
        **settings,
    }


def _clips(clips: Sequence[str], records: Sequence[StreamRecord]) -> list[dict[str, object]]:
    """Return what identifies each clip: two results of other clips cannot be compared."""
    found = []
    for name in dict.fromkeys(map(without_passwords, clips)):
        of_clip = [record for record in records if record.clip.name == name]
        if not of_clip:
            continue
        frames = sum(record.delivered for record in of_clip)
        boxes = sum(record.boxes for record in of_clip)
        path = Path(name)
        found.append(
            {
                **asdict(of_clip[0].clip),
                "sha256": sha256_file(path) if path.is_file() else None,
                "objects_per_frame": boxes / frames if frames else None,
            }
        )
    return found


def _stream(record: StreamRecord, played: Played) -> dict[str, object]:
    plain = {
        name: getattr(record, name)
        for name in (
            "stream", "decoded", "taken", "inferred", "delivered", "dropped_full", "dropped_late",
            "crops", "left_out", "boxes", "passes", "problem", "notes",
        )
    }  # fmt: skip
    rows = np.array(record.rows, np.int64)
    latencies = np.sort(rows[:, 2] - rows[:, 1]) / 1e6 if len(rows) else np.empty(0)
    p99 = float(latencies[int(0.99 * len(latencies))]) if len(latencies) else None
    return {
        **plain,
        "clip": record.clip.name,
        "fps": rate_of(record, played.window),
        "latency_p99_ms": p99,
    }
