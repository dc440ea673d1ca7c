"""The options of `sut concurrency`, and the grid that they describe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, nearest
from sut.load.loads import LoadSpec
from sut.sweep.concurrency.grid import SHARES, Phases, Share
from sut.sweep.plan import PRECISION, Sweep
from sut.sweep.points import EXAMPLE, integers
from sut.verbs.fit import parse_size
from sut.verbs.options import add_benchmark, add_options, as_arguments, varied

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sut.record.table import Value

_PHASES = Phases()
_OPEN_S = 300.0


@dataclass(frozen=True, slots=True)
class Grid:
    """What the user asked for.

    Attributes:
        sweep: precisions and batches, of one process.
        processes: how many share the device.
        shares: in which ways.
        inflight: batches on the device at once, of each engine.
        phases: of each point.
        open_s: engines that are not open and warm after so long hang.
        limit_bytes: of the processes of a point together, in RAM; None: the machine's.
    """

    sweep: Sweep
    processes: list[int]
    shares: list[Share]
    inflight: int
    phases: Phases
    open_s: float
    limit_bytes: int | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sut concurrency`."""
    what = parser.add_argument_group("what")
    add_benchmark(what)
    add_options(
        what, "--system", "--backend", "--devices", "--model", "--pixels", "--data", "--set"
    )
    what.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder (default: runs/concurrency-SYSTEM-BENCHMARK)",
    )
    what.add_argument(
        "--fresh", action="store_true", help="start again, and keep the old folder beside the new"
    )
    what.add_argument(
        "--dry-run", action="store_true", help="only list the points and how long they take"
    )
    axes = parser.add_argument_group(f"axes; several values: {EXAMPLE}")
    axes.add_argument(
        "--processes", default="1,2,4,8", metavar="RANGE", help="that share the device (1,2,4,8)"
    )
    axes.add_argument("--batches", default="1,4,16", metavar="RANGE", help="batch sizes (1,4,16)")
    axes.add_argument(
        "--precision", metavar="P,Q", help="the model as it is (fp32), or made fp16 or int8"
    )
    axes.add_argument(
        "--share",
        default="processes",
        metavar="A,B",
        help=f"how they share: {', '.join(SHARES)} (processes)",
    )
    axes.add_argument(
        "--vary", action="append", default=[], metavar="KEY=V1,V2",
        help="values of an option of the backend; may be repeated",
    )  # fmt: skip
    _add_phases(parser.add_argument_group("how a point is measured"))


def _add_phases(how: argparse._ArgumentGroup) -> None:
    for name, value, text in (
        ("seconds", _PHASES.window_s, "of the measurement, while all processes work"),
        ("warm-s", _PHASES.warm_s, "of warm-up of each engine, at most"),
        ("ramp-s", _PHASES.ramp_s, "from the common start to the measurement, and after it"),
        ("open-s", _OPEN_S, "until all engines are open and warm; later ones hang"),
    ):
        how.add_argument(
            f"--{name}", type=float, default=value, metavar="S", help=f"{text} ({value:g})"
        )
    how.add_argument(
        "--inflight", type=int, default=2, metavar="K",
        help="batches on the device at once, of each engine that has slots (2)",
    )  # fmt: skip
    how.add_argument(
        "--memory-limit", metavar="SIZE",
        help="of the processes of a point together, in RAM, such as 2GB (the machine's)",
    )  # fmt: skip
    how.add_argument(
        "--force", action="store_true", help="try points that the model of memory refuses, too"
    )
    how.add_argument(
        "--explain",
        action="store_true",
        help="run each point once more under a profiler, and say by how much that slows it down",
    )
    how.add_argument(
        "--profiler", metavar="COMMAND",
        help="of --explain, before the command of each process; {out} is its folder (nsys)",
    )  # fmt: skip


def grid_of(arguments: argparse.Namespace) -> Grid:
    """Return what is to be measured.

    Raises:
        ConfigError: an option is wrong.
    """
    for name in ("seconds", "open_s"):
        if not 0 < getattr(arguments, name) < math.inf:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {getattr(arguments, name):g}; expected above 0.")
    for name in ("warm_s", "ramp_s"):
        if not 0 <= getattr(arguments, name) < math.inf:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {getattr(arguments, name):g}; expected 0 or more.")
    if arguments.inflight < 1:
        raise ConfigError(f"--inflight is {arguments.inflight}; expected 1 or more.")
    if arguments.profiler is not None and not arguments.explain:
        raise ConfigError("--profiler belongs to --explain, which is not given.")
    settings: dict[str, Sequence[Value]] = {
        key: list(values) for key, values in varied(arguments.vary).items()
    }
    if arguments.precision is not None:
        settings[PRECISION] = _distinct("--precision", arguments.precision)
    batches = {"batch": integers("--batches", arguments.batches)}
    base = as_arguments(arguments, "Offline")
    return Grid(
        Sweep(base, settings, LoadSpec("offline"), batches),
        integers("--processes", arguments.processes),
        [_share(name) for name in _distinct("--share", arguments.share)],
        arguments.inflight,
        Phases(arguments.warm_s, arguments.ramp_s, arguments.seconds),
        arguments.open_s,
        None if arguments.memory_limit is None else parse_size(arguments.memory_limit),
    )


def _distinct(option: str, text: str) -> list[str]:
    values = text.split(",")
    if len(set(values)) < len(values) or "" in values:
        raise ConfigError(f"{option} {text}: expected different values, none of them empty.")
    return values


def _share(name: str) -> Share:
    found = next((share for share in SHARES if share == name), None)
    if found is None:
        raise ConfigError(
            f'--share: "{name}"; expected one of {", ".join(SHARES)}.{nearest(name, SHARES)}'
        )
    return found
