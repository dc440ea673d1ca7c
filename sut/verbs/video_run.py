"""`sut video run`: streams through a pipeline once, with a run folder and a table."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sut.base import environment
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.base.process import before_others, collect_new_alone
from sut.base.ticker import ticking
from sut.record.run_folder import CONFIG_FILE, ENVIRONMENT_FILE, RunFolder
from sut.record.table import TABLE_FILE
from sut.sweep.files import machine
from sut.verbs import video_options as options
from sut.verbs.console import counted
from sut.verbs.options import out_folder
from sut.video.accuracy.of_play import TrackKeeper, accuracy_of, read_truths
from sut.video.flow.apart.readers import ReaderProcesses
from sut.video.flow.play import Stages
from sut.video.pipeline_file import load_pipeline
from sut.video.plans import stage_plans
from sut.video.run import (
    FRAMES_FILE,
    RESULT_FILE,
    VideoRequest,
    configuration,
    is_whole,
    play,
    recorder_of,
    save_frames,
)
from sut.video.sinks import SINKS, open_sink
from sut.video.sources.choose import clips_of, first_rate
from sut.video.table import row_of, table_of, windows_of
from sut.video.words import lines

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut video run people-faces-masks --source clip.mp4 --streams 4
  sut video run people-faces-masks --source clip.mp4 --streams 4 --tracker max_perf --interval 3
  sut video run my.yaml --source videos/ --streams 16 --loop --duration-s 30 --pace live --fps 30
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    options.add_pipeline(parser)
    parser.add_argument("--streams", type=int, default=1, metavar="N", help="streams (1)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (runs/TIME-video)")
    options.add_flow(parser)
    options.add_pace(parser)
    options.add_system(parser)
    sink = parser.add_argument_group("sink")
    sink.add_argument(
        "--sink", choices=SINKS, default="null", help="where frames end: null, annotate, mosaic"
    )
    accuracy = parser.add_argument_group("accuracy")
    accuracy.add_argument(
        "--tracks", action="store_true", help="write the objects of each stream, tracks-000.txt"
    )
    accuracy.add_argument(
        "--truth",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="objects of a clip: ground truth of MOTChallenge, or tracks of a run with interval 0; "
        "may be repeated, one for each clip",
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Run; return the exit code: 3 if a stream ended early."""
    pipeline = load_pipeline(arguments.pipeline)
    streams = options.streams_of(arguments)
    decoding = options.decoding_of(arguments)
    plans = stage_plans(pipeline, options.overrides_of(arguments))
    settings = options.settings_of(arguments, streams, plans)
    request = VideoRequest(
        pipeline, plans, tuple(arguments.source), streams, decoding, settings, arguments.tracker
    )
    out = sys.stderr if arguments.json else sys.stdout
    with (
        out_folder(arguments.out, f"video-{pipeline.spec.name}") as path,
        RunFolder(path) as folder,
    ):
        print(f"{pipeline.spec.name}: {counted(streams, 'stream')}; {path}", file=out, flush=True)
        with ticking("playing", partial(print, file=out, flush=True)):
            result = run_in(folder, request, arguments, command)
        if arguments.json:
            print(json.dumps(result, indent=2, ensure_ascii=False))
        else:
            print("\n".join(lines(result)))
    return EXIT_VALID if is_whole(result) else EXIT_INVALID


def run_in(
    folder: RunFolder, request: VideoRequest, arguments: argparse.Namespace, command: str
) -> dict[str, Any]:
    """Open the stages, run once, and write everything into the folder; return the result."""
    clips = clips_of(request.sources)
    truths = read_truths(arguments.truth, clips, request.tracker) if arguments.truth else None
    rate = request.rate or first_rate(clips, request.decoding)  # names a bad clip before models
    before_others()
    collect_new_alone()
    folder.write_yaml(CONFIG_FILE, configuration(request, command))
    recorder = recorder_of(request.plans, folder.path, request.decoding)
    processes = ReaderProcesses(request.settings.readers)
    with recorder, processes, Stages(request.plans) as stages:
        specs = request.pipeline.spec.stages
        sink = open_sink(arguments.sink, folder.path, specs, request.streams, rate)
        keeper = TrackKeeper(sink, folder.path if arguments.tracks else None)
        keeps = arguments.tracks or truths is not None
        frames_to = keeper if keeps else sink
        played, result = play(stages, request, frames_to, recorder.finish, processes)
    folder.free_reserve()
    if truths is not None:
        result["truth"] = [str(path) for path in arguments.truth]
        result["accuracy"] = accuracy_of(keeper.tracks(), truths, request.streams)
    save_frames(played, folder.path / FRAMES_FILE)
    folder.write_json(ENVIRONMENT_FILE, environment.fingerprint())
    folder.write_json(RESULT_FILE, result)
    table = table_of([result], [row_of(result, windows=windows_of(played))], command, machine())
    folder.write_json(TABLE_FILE, msgspec.to_builtins(table))
    return result
