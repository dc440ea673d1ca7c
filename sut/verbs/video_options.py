"""The options that the actions of `sut video` share, and what they mean."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from sut.base import environment
from sut.base.errors import ConfigError
from sut.verbs.options import add_options, parse_option, queue_delay
from sut.video.flow.reader import PACES, Pacing
from sut.video.flow.scaling import SCALES
from sut.video.flow.settings import PlaySettings, reader_processes
from sut.video.plans import Overrides
from sut.video.sources.address import is_network
from sut.video.sources.choose import DECODES, Decoding
from sut.video.track.presets import TRACKERS, open_tracker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.video.flow.stage import StagePlan

_MIB = 1 << 20
_LEAST_DEPTH = 4
# Of a clip that is played again. A decoder alone takes 20 times as much a second as a camera gives.


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """Add the pipeline, its clips, and how they are decoded."""
    parser.add_argument("pipeline", help="a pipeline's name, or the path of its YAML file")
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="CLIP",
        help="a file, a folder, or an address such as rtsp://...; may be repeated",
    )
    clips = parser.add_argument_group("clips")
    clips.add_argument(
        "--decode", choices=DECODES, default="cpu", help="where: cpu; nvdec; memory, beforehand"
    )
    clips.add_argument(
        "--decode-threads", type=int, default=1, metavar="N", help="of each stream (1); 0: any"
    )
    clips.add_argument("--decode-device", type=int, default=0, metavar="G", help="GPU of nvdec (0)")
    clips.add_argument(
        "--memory-mb", type=float, default=1024.0, metavar="MB", help="for --decode memory (1024)"
    )
    clips.add_argument(
        "--stall-s", type=float, default=10.0, metavar="S", help="until a silent source ends (10)"
    )


def add_system(parser: argparse.ArgumentParser) -> None:
    """Add what replaces settings of the pipeline's file."""
    system = parser.add_argument_group("stages (default: the pipeline's file)")
    add_options(system, "--system", "--backend", "--devices")
    system.add_argument(
        "--pixels",
        action=argparse.BooleanOptionalAction,
        help="frames stay 8-bit pixels, a quarter of float32, and models normalise them: "
        "docs/pixels.md (default: on GPUs)",
    )
    system.add_argument(
        "--mux-batch", type=int, metavar="B", help="largest batch of frames across streams"
    )
    system.add_argument(
        "--mux-timeout-us",
        type=queue_delay,
        metavar="U",
        help="how long a frame may wait for its batch; late: until an engine is free (default: "
        "8000 for live streams on GPUs, else late)",
    )
    system.add_argument(
        "--workers", choices=("thread", "process"), help="where engines run: thread, process"
    )
    add_options(system, "--set")


def add_flow(parser: argparse.ArgumentParser, *, axes: bool = False) -> None:
    """Add how frames flow; with `axes` without what a sweep varies."""
    flow = parser.add_argument_group("frames")
    if not axes:
        flow.add_argument(
            "--tracker", default="none", metavar="T", help=f"{', '.join(TRACKERS)} (default: none)"
        )
        flow.add_argument(
            "--interval", type=int, default=0, metavar="K", help="frames without inference (0)"
        )
    flow.add_argument(
        "--depth",
        type=int,
        metavar="D",
        help=f"frames of a stream under way at most ({_LEAST_DEPTH}, or more for few streams)",
    )
    flow.add_argument(
        "--host-threads",
        type=int,
        metavar="N",
        help="that serve the streams (default: one; a core each for crops and drawings); where "
        "processes of readers serve, each has one",
    )
    flow.add_argument(
        "--readers",
        type=int,
        metavar="N",
        help="processes that read and decode; 0: threads of this one do (default: from 8 streams "
        "and 4 cores on, with crops from 2 and 2, one a stream or a core; with nvdec, one for "
        "16 streams, with crops for 2)",
    )
    flow.add_argument(
        "--in-step",
        action="store_true",
        help="frames of all streams are due at once at a live pace, and looped clips begin with "
        "their first frame (default: both are spread, as those of cameras)",
    )
    flow.add_argument(
        "--scale",
        choices=SCALES,
        default=SCALES[0],
        help="who makes frames as small as the first model wants them: its own steps, as in an "
        "accuracy run; or the decoder, with a third of the work (steps)",
    )


def add_pace(parser: argparse.ArgumentParser) -> None:
    """Add when frames are due, and for how long."""
    pace = parser.add_argument_group("pace")
    pace.add_argument(
        "--pace",
        choices=PACES,
        default="free",
        help="free: as fast as it goes, nothing dropped; live: as a camera sends, late frames "
        "dropped (default: free)",
    )
    pace.add_argument("--fps", type=float, metavar="F", help="rate of a live pace (the clip's own)")
    pace.add_argument("--loop", action="store_true", help="play clips again; needs --duration-s")
    pace.add_argument("--duration-s", type=float, metavar="S", help="then no frame is taken")
    pace.add_argument(
        "--lead-s", type=float, default=0.0, metavar="S", help="at the start, not measured (0)"
    )


def overrides_of(arguments: argparse.Namespace) -> Overrides:
    """Return what replaces settings of the pipeline's file.

    Raises:
        ConfigError: a value is out of range.
    """
    _at_least(arguments, {"mux_batch": 1})
    live = getattr(arguments, "pace", "live") == "live"  # without one at that of cameras
    return Overrides(
        system=arguments.system,
        backend=arguments.backend,
        devices=tuple(arguments.devices.split(",")) if arguments.devices else None,
        mux_batch=arguments.mux_batch,
        mux_timeout_us=arguments.mux_timeout_us,
        live=live or any(map(is_network, arguments.source)),
        workers=arguments.workers,
        pixels=arguments.pixels,
        backend_options=dict(parse_option(text) for text in arguments.set),
    )


def decoding_of(arguments: argparse.Namespace) -> Decoding:
    """Return how clips are decoded.

    Raises:
        ConfigError: a value is out of range.
    """
    _at_least(arguments, {"decode_threads": 0, "decode_device": 0})
    _above_zero(arguments, ("memory_mb", "stall_s"))
    return Decoding(
        decode=arguments.decode,
        threads=arguments.decode_threads,
        device=arguments.decode_device,
        memory_bytes=int(arguments.memory_mb * _MIB),
        stall_s=arguments.stall_s,
        again=getattr(arguments, "loop", True),
        spread=not (arguments.in_step or _are_seen(arguments)),
    )


def settings_of(
    arguments: argparse.Namespace, streams: int, plans: Sequence[StagePlan]
) -> PlaySettings:
    """Return how streams run.

    Args:
        arguments: of the command line.
        streams: how many run.
        plans: of the stages.

    Raises:
        ConfigError: a value is out of range, or two do not fit.
    """
    _at_least(arguments, {"interval": 0, "depth": 1, "host_threads": 1, "readers": 0})
    _above_zero(arguments, ("fps", "duration_s"))
    if arguments.loop and arguments.duration_s is None:
        raise ConfigError("--loop never ends; expected --duration-s beside it.")
    if arguments.lead_s < 0 or arguments.lead_s >= (arguments.duration_s or math.inf):
        raise ConfigError(
            f"--lead-s is {arguments.lead_s:g}; expected 0 or more, and less than --duration-s."
        )
    open_tracker(arguments.tracker, 30.0)  # names what is wrong before anything is opened
    # Two full batches under way: one runs, the next one fills.
    batch = plans[0].harness.max_batch_size
    depth = arguments.depth or max(_LEAST_DEPTH, -(-3 * batch // streams))
    pacing = Pacing(arguments.pace, arguments.fps, depth, arguments.loop)
    return PlaySettings(
        pacing=pacing,
        interval=arguments.interval,
        duration_s=arguments.duration_s,
        lead_s=arguments.lead_s,
        host_threads=arguments.host_threads,
        stall_s=arguments.stall_s,
        scale=arguments.scale,
        readers=readers_of(arguments, streams, plans),
        in_step=arguments.in_step,
    )


def readers_of(arguments: argparse.Namespace, streams: int, plans: Sequence[StagePlan]) -> int:
    """Return how many processes read so many streams of a pipeline with these stages.

    Unless the user says so, none where each would hold all clips in memory, and at least one for
    NVDEC: should a driver's library crash, it takes streams with it, and not the run.
    """
    wanted: int | None = arguments.readers
    if wanted is not None:
        return min(wanted, streams)
    if arguments.decode == "memory":
        return 0
    on_gpu = arguments.decode == "nvdec"
    crops = len(plans) > 1 and not _are_seen(arguments)
    found = reader_processes(streams, environment.cores(), decoded_here=not on_gpu, crops=crops)
    return max(1, found) if on_gpu else found


def _are_seen(arguments: argparse.Namespace) -> bool:
    """Say whether somebody looks at the frames in the end, as only `run` asks for."""
    seen = (getattr(arguments, name, None) for name in ("tracks", "truth"))
    return any(seen) or getattr(arguments, "sink", "null") != "null"


def check_goal(arguments: argparse.Namespace) -> None:
    """Raise ConfigError if a goal of max-streams is out of range."""
    _above_zero(arguments, ("fps", "p99_ms", "hold_s"))
    _at_least(arguments, {"start": 1, "most": 1})
    if not 0 <= arguments.lead_s < math.inf:
        raise ConfigError(f"--lead-s is {arguments.lead_s:g}; expected 0 or more.")


def live_settings(arguments: argparse.Namespace, plans: Sequence[StagePlan]) -> PlaySettings:
    """Return how streams run at the pace of cameras, again and again, for the time of a hold.

    Raises:
        ConfigError: a value is out of range.
    """
    arguments.pace, arguments.loop = "live", True
    arguments.duration_s = arguments.lead_s + arguments.hold_s
    return settings_of(arguments, plans[0].harness.max_batch_size, plans)


def streams_of(arguments: argparse.Namespace, name: str = "streams") -> int:
    """Return the number of streams; raise ConfigError if it is below 1."""
    _at_least(arguments, {name: 1})
    return int(getattr(arguments, name))


def _at_least(arguments: argparse.Namespace, least: dict[str, int]) -> None:
    for name, low in least.items():
        value = getattr(arguments, name)
        if value is not None and value < low:
            raise ConfigError(f"--{name.replace('_', '-')} is {value}; expected {low} or more.")


def _above_zero(arguments: argparse.Namespace, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(arguments, name)
        if value is not None and not 0 < value < math.inf:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {value:g}; expected a number above 0.")
