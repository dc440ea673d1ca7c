"""`sut fit`: the largest batch that fits into memory, and a model of memory to predict others."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from backends.device_memory import has_own_memory
from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError, SutError
from sut.record.journal import JournalFile
from sut.sweep.files import machine
from sut.sweep.fit import files
from sut.sweep.fit.memory import GpuMemory, HostMemory, default_limit
from sut.sweep.fit.planner import Axes, Planner
from sut.sweep.fit.result import FitResult, encode
from sut.sweep.fit.session import FitSession, Wanted
from sut.sweep.fit.trier import ACT, Trier
from sut.sweep.points import integers
from sut.sweep.tries.group import Times
from sut.sweep.tries.warm import WarmStart, imports_of
from sut.telemetry.gpu_memory import free_bytes, is_gone
from sut.verbs import console, continuing
from sut.verbs.options import add_benchmark, add_options, as_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.config.arguments import Arguments
    from sut.sweep.fit.memory import Memory
    from sut.sweep.fit.result import FitRow, ModelPart

EXAMPLES = """\
examples:
  sut fit -b resnet50-synthetic --memory-limit 2GB --resolution 224,512,1024
  sut fit -b efficientnet-lite0 --memory-limit 1GB --precision fp32,int8 --instances 1,2
  sut fit -b resnet50-synthetic --backend torch --devices 0 --set compile=none --headroom 10%
After an interrupt, the same command continues where it stopped. The rules are in docs/fit.md.
"""
# Options under which an earlier try means the same.
_FREE = {
    "resolution", "precision", "instances", "headroom", "tolerance", "most", "force", "open_s",
    "run_s",
}  # fmt: skip
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(|[kmg]|[kmg]i)b?")
_TIMES = Times()
_WANTED = Wanted()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("what")
    add_benchmark(what)
    add_options(
        what, "--system", "--backend", "--model", "--pixels", "--devices", "--slots", "--set"
    )
    what.add_argument(
        "--out", type=Path, metavar="DIR", help="folder (default: runs/fit-SYSTEM-BENCHMARK-DEVICE)"
    )
    what.add_argument(
        "--fresh", action="store_true", help="start again, and keep the old folder beside the new"
    )
    axes = parser.add_argument_group("axes; several values with commas")
    axes.add_argument(
        "--resolution", metavar="224,512", help="pixels, or HEIGHTxWIDTH, with synthetic samples"
    )
    axes.add_argument(
        "--precision", metavar="P,Q", help="the model as it is or made fp32, or made fp16 or int8"
    )
    axes.add_argument(
        "--instances", metavar="N,M", help="processes that run the batch at the same time (1)"
    )
    search = parser.add_argument_group("the search")
    search.add_argument(
        "--memory-limit", metavar="SIZE",
        help="such as 2GB or 1.5GiB (on a GPU: all that is free; on a CPU: 80 %% of it)",
    )  # fmt: skip
    search.add_argument(
        "--headroom", metavar="SHARE", default="0",
        help="also find the largest batch that leaves so much of the limit free, such as 10%%",
    )  # fmt: skip
    search.add_argument(
        "--tolerance", metavar="SHARE", default="1%",
        help="how far the answer may be from the edge; 0: exact (1%%)",
    )  # fmt: skip
    search.add_argument(
        "--most", type=int, default=_WANTED.most, metavar="B",
        help=f"no larger batch is tried ({_WANTED.most})",
    )  # fmt: skip
    search.add_argument(
        "--force", action="store_true", help="also try what the model of memory knows to fail"
    )
    for name, value, text in (
        ("open-s", _TIMES.open_s, "a try whose engine is not open by then hangs"),
        ("run-s", _TIMES.run_s, "a try whose batches are not done by then hangs, at least"),
    ):
        search.add_argument(
            f"--{name}", type=float, default=value, metavar="S", help=f"{text} ({value:g})"
        )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Search; return the exit code: 3 if a place has no answer, 1 if none has."""
    wanted, times, axes = _wanted(arguments), _times(arguments), _axes(arguments)
    limit_bytes = None if arguments.memory_limit is None else parse_size(arguments.memory_limit)
    planner = Planner(_typed(arguments), axes)
    plan, device = planner.plan, planner.device
    say = console.sayer(as_json=arguments.json)
    name = f"fit-{Path(plan.system).name}-{plan.benchmark.name}-{device}"
    folder: Path = arguments.out or Path("runs") / name
    with continuing.claimed(folder, fresh=arguments.fresh, say=say):
        settings = continuing.settings(arguments, plan, _FREE)
        journal = JournalFile(folder, settings, "search for what fits")
        memory = _memory(plan.harness.backend, device, limit_bytes)
        harness = plan.harness
        imports = imports_of(harness.backend, device, harness.backend_options, [ACT])
        with WarmStart(imports, say) as warm:  # it imports while models are made
            trier = Trier(folder, memory, times, is_gone, warm.launch)
            session = FitSession(journal, memory, trier, wanted, say)
            session.open()
            targets = planner.targets()
            say(f"{plan.benchmark.name} on device {device}; everything is in {folder}")
            page = Page(planner, memory, command)
            rows = session.run(
                targets, lambda found: files.write(folder, page.of(found, session.models))
            )
    say(f"\n{files.as_table(rows)}\nLimit: {page.limit}. Everything is in {folder}.")
    if arguments.json:
        print(encode(page.of(rows, session.models)).decode(), end="")
    return _code(rows)


class Page:
    """What fit.json says beside the rows.

    Args:
        planner: knows what was searched.
        memory: that batches must fit into.
        command: repeats it.
    """

    def __init__(self, planner: Planner, memory: Memory, command: str) -> None:
        self._planner, self._memory, self._command = planner, memory, command
        self._started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._machine = machine()

    @property
    def limit(self) -> str:
        """The limit in words."""
        size = self._memory.limit_bytes
        return f"{'unknown' if size is None else f'{size / 1e6:,.1f} MB'}, {self._memory.how}"

    def of(self, rows: Sequence[FitRow], models: Sequence[ModelPart]) -> FitResult:
        """Return the result."""
        plan, device = self._planner.plan, self._planner.device
        harness = plan.harness
        return FitResult(
            title=f"What fits: {plan.benchmark.name} on {plan.system}, device {device}",
            command=self._command,
            started=self._started,
            limit=self.limit,
            configuration={
                "Benchmark": plan.benchmark.name,
                "System": plan.system,
                "Backend": harness.backend,
                "Device": device,
                "Slots": str(harness.slots),
                **{name: str(value) for name, value in harness.backend_options.items()},
                "Start of a process": " / ".join(dict.fromkeys(row.process for row in rows)),
            },
            identity=self._planner.identity,
            environment=self._machine,
            samples="synthetic: two of random numbers, over and over",
            rows=tuple(rows),
            models=tuple(models),
        )


def parse_size(text: str) -> int:
    """Return the bytes of "2GB", "512 MB" or "1.5GiB".

    Raises:
        ConfigError: it is no such text.
    """
    found = _SIZE.fullmatch(text.replace(" ", "").lower())
    size = float(found[1]) * _UNITS[found[2]] if found else 0
    if size < 1:
        raise ConfigError(
            f'--memory-limit: "{text}"; expected a size, such as 2GB, 512MB or 1.5GiB.'
        )
    return int(size)


def parse_share(option: str, text: str) -> float:
    """Return the share of "10%" or "0.1", from 0 to below 1.

    Raises:
        ConfigError: it is no such text.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise ConfigError(f'{option}: "{text}"; expected a share below 1, such as 10% or 0.1.')
    return share


def _wanted(arguments: argparse.Namespace) -> Wanted:
    if arguments.most < 1:
        raise ConfigError(f"--most is {arguments.most}; expected samples, 1 or more.")
    return Wanted(
        reserve=parse_share("--headroom", arguments.headroom),
        tolerance=parse_share("--tolerance", arguments.tolerance),
        most=arguments.most,
        force=arguments.force,
    )


def _times(arguments: argparse.Namespace) -> Times:
    for name in ("open_s", "run_s"):
        if not 0 < getattr(arguments, name) < float("inf"):
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {getattr(arguments, name):g}; expected more than 0.")
    return Times(arguments.open_s, arguments.run_s)


def _axes(arguments: argparse.Namespace) -> Axes:
    def parts(text: str | None) -> list[str]:
        return [] if text is None else text.split(",")

    instances = [] if arguments.instances is None else integers("--instances", arguments.instances)
    return Axes(parts(arguments.resolution), parts(arguments.precision), instances)


def _typed(arguments: argparse.Namespace) -> Arguments:
    """Return what all places have in common."""
    kept = {k: v for k, v in vars(arguments).items() if k not in {"resolution", "instances"}}
    return as_arguments(argparse.Namespace(**kept), "Offline")


def _memory(backend: str, device: str, limit_bytes: int | None) -> Memory:
    if has_own_memory(backend, device):
        return GpuMemory(device, free_bytes, limit_bytes)
    return HostMemory(default_limit() if limit_bytes is None else limit_bytes)


def _code(rows: Sequence[FitRow]) -> int:
    problems = [row.problem for row in rows if row.problem is not None]
    if len(problems) == len(rows):
        raise SutError(f"no place has an answer: {problems[0]}")
    return EXIT_INVALID if problems else EXIT_VALID
