"""`sut video sweep`: trackers x intervals x streams x devices of a pipeline, as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError
from sut.base.files import write_whole
from sut.base.process import before_others, collect_new_alone
from sut.base.ticker import doing
from sut.record.run_folder import CONFIG_FILE
from sut.record.table import encode
from sut.sweep.files import TABLE_JSON, machine
from sut.sweep.points import combinations, integers
from sut.verbs import console, continuing
from sut.verbs import video_options as options
from sut.video.flow.apart.readers import ReaderProcesses
from sut.video.flow.play import Stages
from sut.video.flow.seen import NullSink
from sut.video.pipeline_file import load_pipeline
from sut.video.plans import stage_plans
from sut.video.run import (
    RESULT_FILE,
    VideoRequest,
    configuration,
    is_whole,
    play,
    recorder_of,
)
from sut.video.sources.choose import clips_of, first_rate
from sut.video.table import (
    DEVICE,
    INTERVAL,
    RATE,
    STREAMS,
    TRACKER,
    WORST,
    row_of,
    table_of,
    windows_of,
)
from sut.video.track.presets import open_tracker

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from sut.record.table import Row, Value
    from sut.video.flow.play import Played
    from sut.video.pipeline_file import Pipeline
    from sut.video.plans import Overrides
    from sut.video.sources.choose import Decoding

    Say = Callable[[str], None]

EXAMPLES = """examples:
  sut video sweep people --source clip.mp4 --trackers max_perf,perf,accuracy --intervals 0,1,3,10 \\
      --streams 16,25 --duration-s 20
  sut video sweep people-faces-masks --source clip.mp4 --streams 1:25:x2 --per-device 0,1
After an interrupt, the same command continues with the plays that are missing.
"""
POINTS = "points"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    options.add_pipeline(parser)
    axes = parser.add_argument_group("axes: lists such as 1,2,4, of numbers also 1:16:x2")
    axes.add_argument("--trackers", default="max_perf", metavar="T,T", help="presets (max_perf)")
    axes.add_argument(
        "--intervals", default="0", metavar="K,K", help="frames without inference (0)"
    )
    axes.add_argument("--streams", default="1", metavar="N,N", help="streams (1)")
    axes.add_argument(
        "--per-device", metavar="D,D", help="devices, one after the other (default: all as one)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="(runs/video-sweep-PIPELINE)")
    parser.add_argument("--fresh", action="store_true", help="start again in a new folder")
    options.add_flow(parser, axes=True)
    options.add_pace(parser)
    options.add_system(parser)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Sweep; return the exit code: 3 if a stream ended early."""
    pipeline = load_pipeline(arguments.pipeline)
    sweep = _sweep(arguments, pipeline)
    first_rate(clips_of(sweep.sources), sweep.decoding)  # names a bad clip before any engine opens
    folder = arguments.out or Path("runs") / f"video-sweep-{pipeline.spec.name}"
    say = console.sayer(as_json=arguments.json)
    with continuing.claimed(folder, fresh=arguments.fresh, say=say):
        say(f"{pipeline.spec.name}: {len(sweep.points)} plays; {folder}")
        before_others()
        collect_new_alone()
        whole = Sweeping(sweep, folder, command, say).run()
    say(f"Table: {folder / TABLE_JSON}; sut report {folder} draws it")
    if arguments.json:
        print((folder / TABLE_JSON).read_text("utf-8"), end="")
    return EXIT_VALID if whole else EXIT_INVALID


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is played.

    Attributes:
        arguments: of the command line, for settings that depend on the number of streams.
        pipeline: loaded.
        overrides: of its settings.
        devices: that are compared; None: those of the settings, together.
        sources: as the user named them.
        decoding: how clips are decoded.
        points: tracker, interval and streams of each play.
    """

    arguments: argparse.Namespace
    pipeline: Pipeline
    overrides: Overrides
    devices: Sequence[str] | None
    sources: tuple[str, ...]
    decoding: Decoding
    points: Sequence[Mapping[str, Value]]


def _sweep(arguments: argparse.Namespace, pipeline: Pipeline) -> Sweep:
    trackers = arguments.trackers.split(",")
    for tracker in trackers:
        open_tracker(tracker, 30.0)  # names what is wrong before anything is opened
    axes: dict[str, Sequence[Value]] = {
        TRACKER: trackers,
        INTERVAL: _intervals(arguments.intervals),
        STREAMS: integers("--streams", arguments.streams),
    }
    devices = arguments.per_device.split(",") if arguments.per_device else None
    if devices and arguments.devices:
        raise ConfigError("--per-device and --devices: expected one of them.")
    return Sweep(
        arguments,
        pipeline,
        options.overrides_of(arguments),
        devices,
        tuple(arguments.source),
        options.decoding_of(arguments),
        combinations(axes),
    )


class Sweeping:
    """Plays all points, device after device, on stages that stay open; writes what it has."""

    def __init__(self, sweep: Sweep, folder: Path, command: str, say: Say) -> None:
        self._sweep, self._folder = sweep, folder
        self._command, self._say = command, say
        self._rows: list[Row] = []
        self._results: list[Mapping[str, Any]] = []

    def run(self) -> bool:
        """Play; return whether every stream came to its end.

        Raises:
            ConfigError: the folder holds another sweep, or a setting is wrong.
            SutError: an engine does not open, or fails; what was played before is kept.
        """
        devices: Sequence[str | None] = self._sweep.devices or (None,)
        for device in devices:
            self._device(device)
        return all(is_whole(result) for result in self._results)

    def _device(self, device: str | None) -> None:
        overrides = self._sweep.overrides
        if device is not None:
            overrides = replace(overrides, devices=(device,))
        plans = stage_plans(self._sweep.pipeline, overrides)
        requests = [self._request(point, plans) for point in self._sweep.points]
        self._claim(requests[0], device)
        missing = [point for point in self._sweep.points if self._kept(point, device) is None]
        if not missing:
            for point in self._sweep.points:
                self._take(point, device, requests[0])
            return
        folder = self._folder if device is None else self._folder / f"device-{device}"
        folder.mkdir(exist_ok=True)
        recorder = recorder_of(plans, folder, self._sweep.decoding)
        with recorder, ReaderProcesses() as processes, Stages(plans) as stages:
            plays = partial(
                play, stages, sink=NullSink(), devices=recorder.so_far, processes=processes
            )
            for point, request in zip(self._sweep.points, requests, strict=True):
                self._take(point, device, request, plays)

    def _request(self, point: Mapping[str, Value], plans: Any) -> VideoRequest:
        sweep, streams = self._sweep, int(point[STREAMS])
        arguments = sweep.arguments
        arguments.interval, arguments.tracker = int(point[INTERVAL]), str(point[TRACKER])
        settings = options.settings_of(arguments, streams, plans)
        return VideoRequest(
            sweep.pipeline,
            plans,
            sweep.sources,
            streams,
            sweep.decoding,
            settings,
            str(point[TRACKER]),
        )

    def _claim(self, request: VideoRequest, device: str | None) -> None:
        """Write what is played, or refuse a folder of something else."""
        content = {**configuration(request, self._command), "device": device}
        del content["command"]
        name = CONFIG_FILE if device is None else f"config-{device}.yaml"
        path = self._folder / name
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        if not path.is_file():
            write_whole({path: text})
        elif path.read_text("utf-8") != text:
            raise ConfigError(
                f"--out: {self._folder} holds a sweep with other settings ({name}). Name another "
                "folder, or start again with --fresh."
            )

    def _take(
        self,
        point: Mapping[str, Value],
        device: str | None,
        request: VideoRequest,
        plays: Callable[[VideoRequest], tuple[Played, dict[str, object]]] | None = None,
    ) -> None:
        """Add a row: of a play that is kept, or of a new one."""
        more: dict[str, Value] = {} if device is None else {DEVICE: device}
        kept = self._kept(point, device)
        if kept is not None:
            self._results.append(kept)
            self._rows.append(row_of(kept, more, tuple(kept["windows"])))
        elif plays is not None:
            with doing(_name(point, device), request.settings.duration_s):
                played, result = plays(request)
            result["windows"] = list(windows_of(played))
            self._keep(point, device, result)
            self._results.append(result)
            self._rows.append(row_of(result, more, windows_of(played)))
        row = self._rows[-1]
        self._say(
            f"{_name(point, device)}: {row.figures[RATE]:.1f} frames/s, the worst stream "
            f"{row.figures[WORST]:.2f}"
        )
        table = table_of(self._results, self._rows, self._command, machine())
        write_whole({self._folder / TABLE_JSON: encode(table).decode()})

    def _kept(self, point: Mapping[str, Value], device: str | None) -> dict[str, Any] | None:
        path = self._folder / POINTS / _name(point, device) / RESULT_FILE
        if not path.is_file():
            return None
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return kept

    def _keep(self, point: Mapping[str, Value], device: str | None, result: object) -> None:
        path = self._folder / POINTS / _name(point, device) / RESULT_FILE
        write_whole({path: json.dumps(result, indent=2, ensure_ascii=False) + "\n"})


def _intervals(text: str) -> list[int]:
    """Return the intervals of a list; raise ConfigError for what is none."""
    if not all(part.isdecimal() for part in text.split(",")):
        raise ConfigError(f'--intervals is "{text}"; expected whole numbers from 0, such as 0,1,3.')
    return list(dict.fromkeys(int(part) for part in text.split(",")))


def _name(point: Mapping[str, Value], device: str | None) -> str:
    """Return the name of a point, which is that of its folder."""
    place = f"{point[TRACKER]}-interval-{point[INTERVAL]}-streams-{point[STREAMS]}"
    return place if device is None else f"device-{device}-{place}"
