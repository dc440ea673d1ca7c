"""The options of `sut sweep`, and the sweep that they describe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from backends.base import BACKENDS
from sut.base.errors import ConfigError, nearest
from sut.load.arrivals import recorded_s
from sut.load.loads import Kind, LoadSpec
from sut.sweep.columns import COLUMNS
from sut.sweep.plan import DEVICES, GRAPHS, PRECISION, Sweep
from sut.sweep.points import EXAMPLE, integers, numbers
from sut.sweep.steady import Rule
from sut.verbs.options import add_benchmark, add_options, as_arguments, varied

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sut.record.table import Value

KINDS: tuple[Kind, ...] = get_args(Kind)
# Which options of a load each kind has, and the values of those that it needs not be given.
_OF_KIND: dict[str, dict[str, str | None]] = {
    "offline": {"batches": "1:256:x2"},
    "closed": {"concurrency": "1:64:x2", "request_batch": "1"},
    "poisson": {"qps": None, "request_batch": "1"},
    "constant": {"qps": None, "request_batch": "1"},
    "replay": {"arrivals": None, "speed": "1", "request_batch": "1"},
}
_LOAD_OPTIONS = ("batches", "concurrency", "request_batch", "qps", "arrivals", "speed")
# The axis that an option varies, where it has another name.
_AXIS = {"batches": "batch"}
_WHOLE = {"batches", "concurrency", "request_batch"}
_RULE = Rule()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sut sweep`."""
    what = parser.add_argument_group("what")
    what.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="a YAML file with the variants of a study, instead of all other options but --out, "
        "--fresh, --dry-run and --json: docs/study.md",
    )
    add_benchmark(what, required=False)
    add_options(what, "--system", "--model", "--pixels", "--data", "--cluster")
    what.add_argument(
        "--out", type=Path, metavar="DIR", help="folder (default: runs/sweep-SYSTEM-BENCHMARK-LOAD)"
    )
    what.add_argument(
        "--fresh", action="store_true", help="start again, and keep the old folder beside the new"
    )
    what.add_argument(
        "--dry-run", action="store_true", help="only list the points and how long they take"
    )
    what.add_argument(
        "--accuracy",
        action="store_true",
        help="measure the accuracy of each setting, too, by LoadGen's accuracy test",
    )
    what.add_argument(
        "--columns",
        choices=COLUMNS,
        default="own",
        help="of table.csv and table.md: ours, or the 15 of NVIDIA's study on Triton (own)",
    )
    _add_load_options(parser.add_argument_group(f"load; several values: {EXAMPLE}"))
    add_window_options(parser.add_argument_group("how long a point is measured"))
    axes = parser.add_argument_group("settings; several values with commas, each is an axis")
    axes.add_argument("--backend", metavar="A,B", help="inference backends")
    axes.add_argument(
        "--precision", metavar="P,Q", help="the model as it is (fp32), or made fp16 or int8"
    )
    axes.add_argument(
        "--resolution", metavar="224,512", help="pixels, or HEIGHTxWIDTH, with synthetic samples"
    )
    axes.add_argument("--devices", metavar='"0;0,1"', help="sets of devices, between semicolons")
    axes.add_argument(
        "--graphs", metavar='"1,8;8,26"', help="ladders of graph sizes, between semicolons"
    )
    axes.add_argument("--workers", metavar="A,B", help="where engines run")
    axes.add_argument("--instances", metavar="N,M", help="engines on each device")
    axes.add_argument("--slots", metavar="K,L", help="batches in flight per worker")
    axes.add_argument("--max-batch-size", metavar="B,C", help="largest batch, in samples")
    axes.add_argument(
        "--max-queue-delay-us", metavar="U,V", help="how long a sample may wait for its batch"
    )
    axes.add_argument(
        "--vary", action="append", default=[], metavar="KEY=V1,V2",
        help="values of an option of the backend; may be repeated",
    )  # fmt: skip
    add_options(axes, "--set")


def _add_load_options(load: argparse._ArgumentGroup) -> None:
    load.add_argument(
        "--load",
        choices=KINDS,
        default="offline",
        help="offline: one batch in flight; closed: N clients wait for their answers; poisson and "
        "constant: at a rate; replay: recorded times (offline)",
    )
    load.add_argument("--batches", metavar="RANGE", help="offline: batch sizes (1:256:x2)")
    load.add_argument("--concurrency", metavar="RANGE", help="closed: requests in flight (1:64:x2)")
    load.add_argument("--request-batch", metavar="RANGE", help="samples of a request (1)")
    load.add_argument("--qps", metavar="RANGE", help="poisson, constant: requests/s")
    load.add_argument(
        "--arrivals", metavar="FILE", help="replay: times in s, one a line, or a batches.npz"
    )
    load.add_argument("--speed", metavar="RANGE", help="replay: 2 is twice as fast (1)")
    load.add_argument("--seed", type=int, default=0, help="poisson: of the random times (0)")


def add_window_options(window: argparse._ArgumentGroup) -> None:
    """Add how long a point is measured; see `rule_of`."""
    for name, value, text in (
        ("turn-overs", _RULE.turn_overs, "how often all that is in flight is answered, at least"),
        ("spread", _RULE.spread, "95 %% interval of samples/s, at most, as a share"),
        ("latency-spread", _RULE.latency_spread, "the same of the mean latency, for a rate"),
        ("least-s", _RULE.least_s, "no shorter"),
        ("limit-s", _RULE.limit_s, "no longer, even if it is not steady then"),
    ):
        window.add_argument(
            f"--{name}", type=float, default=value, metavar="X", help=f"{text} ({value:g})"
        )
    window.add_argument(
        "--tolerate-loss",
        action="store_true",
        help="go on without a worker that is lost; the row says so (default: the point fails)",
    )
    window.add_argument(
        "--least-requests",
        type=int,
        default=_RULE.requests,
        metavar="N",
        help=f"at a rate: no fewer, as percentiles need ({_RULE.requests})",
    )


def rule_of(arguments: argparse.Namespace) -> Rule:
    """Return how long a point is measured.

    Raises:
        ConfigError: a value is out of range.
    """
    for name in ("turn_overs", "spread", "latency_spread", "limit_s"):
        value = getattr(arguments, name)
        if not 0 < value < math.inf:
            raise ConfigError(f"--{name.replace('_', '-')} is {value:g}; expected more than 0.")
    for name in ("least_s", "least_requests"):
        if not 0 <= getattr(arguments, name) < math.inf:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {getattr(arguments, name):g}; expected 0 or more.")
    return Rule(
        turn_overs=arguments.turn_overs,
        spread=arguments.spread,
        latency_spread=arguments.latency_spread,
        requests=arguments.least_requests,
        least_s=arguments.least_s,
        limit_s=arguments.limit_s,
    )


def sweep_of(arguments: argparse.Namespace) -> Sweep:
    """Return what is to be measured.

    Raises:
        ConfigError: an option is wrong, or does not belong to the load.
    """
    kind: Kind = arguments.load
    loads = _loads(arguments, kind)
    recorded = ""
    if kind == "replay":
        recorded_s(Path(arguments.arrivals))  # wrong ones are refused now, and not by each point
        recorded = str(Path(arguments.arrivals).absolute())
    settings = _settings(arguments)
    load = LoadSpec(kind, seed=arguments.seed, recorded=recorded)
    base = as_arguments(_without_axes(arguments), "Offline" if kind == "offline" else "Server")
    return Sweep(base, settings, load, loads)


def _loads(arguments: argparse.Namespace, kind: Kind) -> dict[str, Sequence[Value]]:
    allowed = _OF_KIND[kind]
    found: dict[str, Sequence[Value]] = {}
    for name in _LOAD_OPTIONS:
        option, given = f"--{name.replace('_', '-')}", getattr(arguments, name)
        if given is not None and name not in allowed:
            kinds = ", ".join(other for other, names in _OF_KIND.items() if name in names)
            raise ConfigError(f"{option} is for --load {kinds}; the load is {kind}.")
        if name not in allowed:
            continue
        text = allowed[name] if given is None else given
        if text is None:
            raise ConfigError(f"--load {kind} needs {option}.")
        if name != "arrivals":
            read = integers if name in _WHOLE else numbers
            found[_AXIS.get(name, name)] = read(option, text)
    # The load's own axis comes last, and changes fastest. Requests of one sample need no axis.
    sizes = found.pop("request_batch", ())
    return found if arguments.request_batch is None else {"request_batch": sizes, **found}


def _settings(arguments: argparse.Namespace) -> dict[str, Sequence[Value]]:
    """Return the axes of settings, also those of a single value."""
    found: dict[str, Sequence[Value]] = {}
    for axis in ("backend", PRECISION, "resolution", "workers"):
        if (text := getattr(arguments, axis)) is not None:
            found[axis] = text.split(",")
    for axis in (DEVICES, GRAPHS):
        if (text := getattr(arguments, axis)) is not None:
            found[axis] = text.split(";")
    for axis in ("instances", "slots", "max_batch_size"):
        if (text := getattr(arguments, axis)) is not None:
            option = f"--{axis.replace('_', '-')}"
            found[axis] = ["auto"] if text == "auto" else integers(option, text)
    if (text := arguments.max_queue_delay_us) is not None:
        found["max_queue_delay_us"] = [_delay(part) for part in text.split(",")]
    found |= {key: list(values) for key, values in varied(arguments.vary).items()}
    for backend in found.get("backend", ()):
        if backend not in BACKENDS:
            raise ConfigError(
                f'--backend: "{backend}"; expected one of {", ".join(BACKENDS)}.'
                f"{nearest(str(backend), BACKENDS)}"
            )
    for axis, values in found.items():
        if len(set(values)) < len(values) or "" in values:
            shown = ", ".join(map(str, values))
            raise ConfigError(f"{axis}: {shown}; expected different values, none of them empty.")
    return found


def _delay(text: str) -> Value:
    if text == "late":
        return text
    if text.isdecimal():
        return int(text)
    raise ConfigError(f'--max-queue-delay-us: "{text}"; expected microseconds, or late.')


def _without_axes(arguments: argparse.Namespace) -> argparse.Namespace:
    """Return the options that are no axis, for `as_arguments`."""
    import argparse  # noqa: PLC0415 - only its Namespace

    kept = {
        name: getattr(arguments, name)
        for name in ("benchmark", "system", "model", "data", "cluster", "set")
    }
    return argparse.Namespace(**kept, devices=None)
