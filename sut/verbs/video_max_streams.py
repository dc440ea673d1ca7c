"""`sut video max-streams`: the most streams whose worst one holds a rate, and what stops more."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sut.base import environment
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.base.process import before_others, collect_new_alone
from sut.base.ticker import doing, ticking
from sut.record.run_folder import CONFIG_FILE, ENVIRONMENT_FILE, RunFolder
from sut.tuner.max_streams import Edge, Tried, find_edge
from sut.verbs import console
from sut.verbs import video_options as options
from sut.verbs.console import counted
from sut.verbs.continuing import keeping
from sut.verbs.options import out_folder
from sut.video.alone import Ceilings, ceilings, decode_alone
from sut.video.bottleneck import GPU, INTERPRETER, READERS_INTERPRETER, bottleneck
from sut.video.flow.apart.readers import ReaderProcesses
from sut.video.flow.play import Stages
from sut.video.flow.seen import NullSink
from sut.video.hold import TOLERANCE, Goal, Held, judged
from sut.video.pipeline_file import load_pipeline
from sut.video.plans import stage_plans
from sut.video.run import VideoRequest, configuration, play, recorder_of
from sut.video.sources.address import is_network
from sut.video.sources.choose import clips_of, first_rate, names_of, open_each

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from sut.video.run import Devices

    Say = Callable[[str], None]

EXAMPLES = """examples:
  sut video max-streams people --source clip.mp4 --fps 30
  sut video max-streams people --source clip.mp4 --p99-ms 100 --interval 3 --tracker max_perf
"""
RESULT_FILE = "max_streams.json"
_MOST = 1024
_ALONE_S = 1.0  # of each stage
_READS = frozenset({"decode", "CPU"})  # where the readers' work is what stops more


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    options.add_pipeline(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (runs/TIME-video)")
    goal = parser.add_argument_group("goal")
    goal.add_argument("--fps", type=float, default=30.0, metavar="F", help="of each stream (30)")
    goal.add_argument("--p99-ms", type=float, metavar="L", help="bound of the latency's p99")
    goal.add_argument(
        "--hold-s",
        type=float,
        default=10.0,
        metavar="S",
        help="how long each number must hold (10)",
    )
    goal.add_argument(
        "--lead-s", type=float, default=1.0, metavar="S", help="before that, not measured (1)"
    )
    goal.add_argument("--start", type=int, metavar="N", help="first number (default: predicted)")
    goal.add_argument("--most", type=int, default=_MOST, metavar="N", help=f"no more ({_MOST})")
    options.add_flow(parser)
    options.add_system(parser)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Search; return the exit code: 3 if not even one stream holds."""
    options.check_goal(arguments)
    pipeline = load_pipeline(arguments.pipeline)
    decoding = options.decoding_of(arguments)
    plans = stage_plans(pipeline, options.overrides_of(arguments))
    settings = options.live_settings(arguments, plans)
    request = VideoRequest(
        pipeline, plans, tuple(arguments.source), 1, decoding, settings, arguments.tracker
    )
    goal = Goal(arguments.fps, arguments.p99_ms)
    say = console.sayer(as_json=arguments.json)
    clips = clips_of(request.sources)
    first_rate(clips, decoding)  # names a bad clip before any model is opened
    name = f"video-max-streams-{pipeline.spec.name}"
    with out_folder(arguments.out, name) as path, RunFolder(path) as folder:
        say(f"{pipeline.spec.name}: the most streams at {goal.fps:g} frames/s; {path}")
        folder.write_yaml(CONFIG_FILE, configuration(request, command))
        before_others()
        collect_new_alone()
        recorder = recorder_of(plans, path, decoding)
        with (
            keeping(folder, say),
            ticking("working", say),
            recorder,
            ReaderProcesses() as processes,
            Stages(plans) as stages,
        ):
            search = Search(
                stages,
                request,
                goal,
                arguments.most,
                say,
                recorder.so_far,
                processes,
                partial(options.readers_of, arguments, plans=plans),
                folder.keep,
            )
            found = search.run(arguments.start)
        folder.free_reserve()
        folder.write_json(ENVIRONMENT_FILE, environment.fingerprint())
        folder.write_json(RESULT_FILE, found)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(words(found)))
    return EXIT_VALID if found["streams"] else EXIT_INVALID


def _no_processes(streams: int) -> int:
    """Return that threads read."""
    return 0


def _forget(measured: Mapping[str, object]) -> None:
    """Keep nothing."""


@dataclass(slots=True)
class Search:
    """The search for the largest number of streams, on stages that stay open.

    Attributes:
        stages: open.
        request: of one stream; the search changes their number.
        goal: what each stream must hold.
        most: streams that are tried at most.
        say: hears a line for each number.
        devices: says what devices reported in a window; None: nobody does.
        processes: read the streams.
        readers: says how many of them read so many streams.
        keep: takes the result of each play, and the ceilings.
        tried: all that was tried, in order.
        results: the last result of each number.
    """

    stages: Stages
    request: VideoRequest
    goal: Goal
    most: int
    say: Say
    devices: Devices | None = None
    processes: ReaderProcesses = field(default_factory=ReaderProcesses)
    readers: Callable[[int], int] = _no_processes
    keep: Callable[[Mapping[str, object]], None] = _forget
    tried: list[Held] = field(default_factory=list)
    results: dict[int, dict[str, Any]] = field(default_factory=dict)

    def run(self, start: int | None) -> dict[str, Any]:
        """Search from `start`, or from what each stage alone promises; return the result."""
        one = self._measure(1)
        alone = self._alone()
        if not one.holds:
            return self._result(Edge(None, _tried(one), ()), alone, knife_edge=False)
        first = start or max(1, int(min(alone.frames_per_s.values()) / self.goal.fps))
        edge = find_edge(lambda n: _tried(self._known(n)), min(first, self.most), resolution=0)
        again = self._again(edge)
        if again == [True, True]:  # what failed it was not the number: the edge lies further up
            held = self.tried[-1]
            edge = find_edge(
                lambda n: _tried(held if n == held.streams else self._known(n)),
                held.streams,
                resolution=0,
            )
            again = self._again(edge)
        return self._result(edge, alone, knife_edge=bool(again) and again != [True, False])

    def _known(self, streams: int) -> Held:
        """Measure a number of streams, unless it is 1, which was, or more than are tried."""
        if streams == 1:
            return self.tried[0]
        if streams > self.most:
            return Held(streams, 0.0, None, (f"more than --most {self.most} are not tried",))
        return self._measure(streams)

    def _measure(self, streams: int) -> Held:
        settings = replace(self.request.settings, readers=self.readers(streams))
        request = replace(self.request, streams=streams, settings=settings)
        with doing(counted(streams, "stream"), request.settings.duration_s):
            _, result = play(self.stages, request, NullSink(), self.devices, self.processes)
        held = judged(result, self.goal)
        self.keep({**_plain(held), "result": result})
        self.results[streams] = result
        self.tried.append(held)
        verdict = "holds" if held.holds else f"fails: {'; '.join(held.why_not)}"
        p99 = "none" if held.p99_ms is None else f"{held.p99_ms:.1f} ms"
        worst = f"worst {held.worst_fps:.2f} frames/s, p99 {p99}"
        self.say(f"{counted(streams, 'stream')}: {worst}: {verdict}")
        return held

    def _again(self, edge: Edge) -> list[bool]:
        """Measure both sides of the edge again; return which of them holds."""
        if edge.best is None or edge.failing is None or edge.failing.streams > self.most:
            return []
        return [self._measure(side.streams).holds for side in (edge.best, edge.failing)]

    def _alone(self) -> Ceilings:
        """Measure each stage alone; the frames of one stream say how many samples a frame has."""
        figures = self.results[1]["figures"]
        frames = max(1, figures["frames"])
        samples = {name: stage["samples"] / frames for name, stage in figures["stages"].items()}
        # A network's frames come at the rate of their sender, not of a decoder.
        clips = [clip for clip in clips_of(self.request.sources) if not is_network(clip)]
        with doing("each stage alone"):
            decode = self._decode_alone(clips) if clips else None
            found = ceilings(self.stages.all, decode, samples, _ALONE_S)
        parts = [f"{name} {rate:.1f}" for name, rate in found.frames_per_s.items()]
        self.say(f"each stage alone, frames/s: {', '.join(parts)}")
        self.keep({"ceilings": asdict(found)})
        return found

    def _decode_alone(self, clips: Sequence[str]) -> float:
        """Return the frames a second of a decoder a core, where those of many streams are."""
        cores, how = environment.cores(), self.request.decoding
        settings, plan = self.request.settings, self.stages.all[0].plan
        scaling = plan.benchmark, settings.scale, _ALONE_S
        names, count = names_of(clips, cores), min(cores, self.readers(self.most))
        if not count:
            return decode_alone(open_each(names, how), *scaling)
        opens = [partial(open_each, names[k::count], how) for k in range(count)]
        self.processes.open(opens)
        rates: list[float] = self.processes.call(count, decode_alone, *scaling)
        return sum(rates)

    def _result(self, edge: Edge, alone: Ceilings | None, *, knife_edge: bool) -> dict[str, Any]:
        failing = None if edge.failing is None else self.results.get(edge.failing.streams)
        why = (
            None if failing is None else bottleneck(failing["figures"], environment.cores(), alone)
        )
        best = 0 if edge.best is None else edge.best.streams
        return {
            "schema": 1,
            "kind": "video max-streams",
            "pipeline": self.request.pipeline.spec.name,
            "simulated": any(stage.simulated for stage in self.stages.all),
            "goal": {**asdict(self.goal), "tolerance": TOLERANCE},
            "streams": best,
            "failing_streams": None if edge.failing is None else edge.failing.streams,
            "knife_edge": knife_edge,
            "bottleneck": None if why is None else asdict(why),
            "ceilings": None if alone is None else asdict(alone),
            "tried": [_plain(held) for held in self.tried],
            "best": self.results.get(best),
            "failing": failing,
        }


def words(found: dict[str, Any]) -> list[str]:
    """Return the result of a search as lines for the terminal."""
    goal = found["goal"]
    bound = "" if goal["p99_ms"] is None else f" with p99 within {goal['p99_ms']:g} ms"
    holds = "holds" if found["streams"] == 1 else "hold"
    lines = [f"{counted(found['streams'], 'stream')} {holds} {goal['fps']:g} frames/s{bound}"]
    if found["failing_streams"] is not None:
        failing: Sequence[dict[str, Any]] = [
            held
            for held in found["tried"]
            if held["streams"] == found["failing_streams"] and not held["holds"]
        ]
        why = "; ".join(failing[0]["why_not"]) if failing else "more are not tried (--most)"
        do_not = "does not" if found["failing_streams"] == 1 else "do not"
        lines.append(f"{found['failing_streams']} {do_not}: {why}")
    if found["knife_edge"]:
        lines.append("knife-edge: measured again, a side of the edge turned out otherwise; +-1")
    if found["bottleneck"] is not None:
        lines.append(f"what stops more: {found['bottleneck']['label']}")
        lines.append(f"  {', '.join(found['bottleneck']['evidence'])}")
        settings = (found["failing"] or found["best"] or {}).get("settings", {})
        reads = found["bottleneck"]["label"] in _READS and settings.get("decode") == "cpu"
        lines += _remedies(found["bottleneck"]["label"], settings.get("readers", 0))
        if reads and settings.get("scale") == "steps":
            lines.append("  --scale decoder leaves less work for each frame: docs/video.md")
    if found["simulated"]:
        lines.append("SIMULATED: a stage only takes time; its answers mean nothing.")
    return lines


def _remedies(label: str, readers: int) -> list[str]:
    """Return what to do where an interpreter, or a GPU with small batches, is what stops more."""
    more = {
        GPU: "larger batches (--mux-timeout-us) leave it less to do",
        READERS_INTERPRETER: f"more than {readers} processes may read: --readers",
        INTERPRETER: "--readers N lets N processes read and decode"
        if not readers
        else "larger batches (--mux-timeout-us) and frames without inference leave it less to do",
    }
    return [f"  {more[label]}: docs/video.md"] if label in more else []


def _plain(held: Held) -> dict[str, object]:
    return {**asdict(held), "holds": held.holds}


def _tried(held: Held) -> Tried:
    reached_ns = float("inf") if held.p99_ms is None else held.p99_ms * 1e6
    return Tried(held.streams, reached_ns, held.holds)
