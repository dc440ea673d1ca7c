"""`sut plan`: how many devices of each kind hold a load within a bound, by the queue model."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.strict_yaml import StrictStruct, load_strict
from scenarios.rounds import rules
from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError, nearest
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.system import published_names, read_system, system_folder, system_names
from sut.serve.queue_model import PERCENTILES
from sut.tuner.fleet import PLANNED, Fleet, Planner
from sut.tuner.job import NS_PER_MS, Bound
from sut.tuner.kinds import Kind, measured_kinds, simulated_kinds
from sut.verbs import plan_nodes
from sut.verbs.console import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sut.config.plan import Plan
    from sut.tuner.nodes import Nodes

EXAMPLES = """examples:
  sut plan --qps 20000 --bound-ms 15 --system r740_4xt4
  sut plan --qps 300 --bound-ms 100 --rtt-ms 20 -b retinanet --all
  sut plan --qps 100000 --bound-ms 15 --system r740_4xt4 --per-node 4 --gbit 10
  sut plan --qps 5000 --bound-ms 15 --measured runs/tune-mine-resnet50-Server --prices prices.yaml
How it counts, and what it leaves out: docs/plan.md.
"""
OFFLOAD, EDGE, NEITHER = "offload", "edge", "neither"
_PERCENT, _EVEN = 100.0, 0.5
HEADER = (
    "kind", "place", "devices", "nodes", "settings", "latency", "busy", "busiest shared",
    "power", "cost", "S(b)",
)  # fmt: skip
_ASKED = {"place": "rtt_ms", "nodes": "per_node", "busiest shared": "per_node"}


class Prices(StrictStruct, frozen=True):
    """The file of --prices: what one device costs, by kind, in any one currency."""

    prices: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """The answer for one kind.

    Attributes:
        kind: of device.
        place: "offload": the network fits into the bound; "edge": only without it; "neither"; empty
            if no network was asked about.
        fleet: None: no number of devices holds the load.
        price: of one device; None: the user named none.
        full: of what nodes share, what the load alone would nearly fill; see Planner.full.
    """

    kind: Kind
    place: str
    fleet: Fleet | None
    price: float | None
    full: Mapping[str, float]

    @property
    def cost(self) -> float | None:
        """The price of all devices."""
        if self.fleet is None or self.price is None:
            return None
        return self.fleet.devices * self.price


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("--qps", type=_positive, required=True, metavar="Q", help="queries/s")
    parser.add_argument(
        "--bound-ms", type=_positive, required=True, metavar="L", help="latency bound"
    )
    parser.add_argument(
        "--percentile", type=float, metavar="P",
        help="of the latency within the bound (default: the benchmark's, else 99)",
    )  # fmt: skip
    parser.add_argument(
        "--rtt-ms", type=_positive, metavar="R",
        help="round trip of the network to a distant server: is there room for it?",
    )  # fmt: skip
    parser.add_argument(
        "-b", "--benchmark", default="resnet50", help="a benchmark's name or file (resnet50)"
    )
    parser.add_argument(
        "--system", action="append", default=[], metavar="NAME",
        help="a system of simulated devices, such as r740_4xt4; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--all", action="store_true", help="every simulated system that knows the benchmark"
    )
    parser.add_argument(
        "--measured", action="append", default=[], type=Path, metavar="DIR",
        help="the folder of a tuning, for the S(b) that it measured; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--cost", action="append", default=[], metavar="KIND=PRICE",
        help="what one device costs; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="a YAML file: prices: {KIND: 1}"
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="C",
        help="that a run holds the load (0.95)",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=int, default=PLANNED.samples, metavar="N",
        help=f"queries of a simulated run; fewer are faster and rougher ({PLANNED.samples})",
    )  # fmt: skip
    plan_nodes.add_arguments(parser, _positive)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Plan; return the exit code: 3 if no kind holds the load."""
    del command
    if not _EVEN <= arguments.confidence < 1:
        raise ConfigError(
            f"--confidence is {arguments.confidence:g}; expected 0.5 to below 1, such as 0.95."
        )
    if arguments.samples < 1:
        raise ConfigError(f"--samples is {arguments.samples}; expected 1 or more, such as 30000.")
    nodes = plan_nodes.nodes_of(arguments)
    plans = [_resolved(arguments.benchmark, name) for name in _systems(arguments)]
    bound = _bound(arguments, plans)
    kinds = [kind for plan in plans for kind in simulated_kinds(plan)]
    kinds += [kind for folder in arguments.measured for kind in measured_kinds(folder)]
    prices = _prices(arguments, [kind.name for kind in kinds])
    rows = []
    for kind in kinds:
        if len(kinds) > 1:
            print(f"  {kind.name} ...", file=sys.stderr, flush=True)
        place, fleet, full = _placed(arguments, kind, bound, nodes)
        rows.append(Row(kind, place, fleet, prices.get(kind.name), full))
    if arguments.json:
        print(json.dumps(_as_json(arguments, bound, rows), indent=2))
    else:
        _tell(arguments, bound, rows)
    return EXIT_VALID if any(row.fleet for row in rows) else EXIT_INVALID


def _positive(text: str) -> float:
    """Read a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f'"{text}"; expected a number above 0')
    return number


def _resolved(benchmark: str, system: str) -> Plan:
    return resolve(Arguments(benchmark=benchmark, scenario="Server", system=system))


def _systems(arguments: argparse.Namespace) -> list[str]:
    """Return the names of the systems to ask about."""
    names = list(arguments.system)
    if arguments.all:
        names += [
            name
            for name in [*system_names(), *published_names()]
            if name not in names
            and arguments.benchmark in read_system(system_folder(name)).benchmarks
        ]
    if not names and not arguments.measured:
        missing = f"no simulated system knows {arguments.benchmark}" if arguments.all else "no kind"
        raise ConfigError(
            f"{missing}; expected --system NAME, such as r740_4xt4, --measured DIR, or --all."
        )
    return names


def _bound(arguments: argparse.Namespace, plans: Sequence[Plan]) -> Bound:
    """Return the bound, of the percentile that the user, a system or MLPerf's rules name."""
    percent = arguments.percentile
    if percent is None:
        named = [plan.user_conf_settings().get("target_latency_percentile") for plan in plans]
        percent = next((float(str(x.value)) for x in named if x is not None), None)
    if percent is None:
        percent = _PERCENT * (rules("current", "Server").percentile or 0.99)
    name = f"p{percent:g}".replace(".", "")
    if name not in PERCENTILES:
        raise ConfigError(
            f"--percentile {percent:g}: the queue model knows 50, 90, 95, 97, 99 and 99.9."
        )
    return Bound(name, arguments.bound_ms * NS_PER_MS, PERCENTILES[name])


def _prices(arguments: argparse.Namespace, kinds: Sequence[str]) -> dict[str, float]:
    """Return the price of a device by kind; a list of prices may name more kinds than are asked."""
    found = dict(load_strict(arguments.prices, Prices).prices) if arguments.prices else {}
    for text in arguments.cost:
        kind, equals, price = text.rpartition("=")
        try:
            found[kind] = _positive(price)
        except ArgumentTypeError as error:
            raise ConfigError(f"--cost {text}: {error}, as KIND=PRICE.") from error
        if not equals or kind not in kinds:
            raise ConfigError(
                f'--cost {text}: "{kind}" is none of the kinds asked about: {", ".join(kinds)}.'
                f"{nearest(kind, kinds)}"
            )
    return found


def _placed(
    arguments: argparse.Namespace, kind: Kind, bound: Bound, nodes: Nodes | None
) -> tuple[str, Fleet | None, dict[str, float]]:
    """Return where the devices may stand, how many are needed there, and what would be full.

    The network takes its round trip from the bound. If the rest suffices, a distant server can do
    the work; if only the whole bound does, it has to be done beside the source.
    """
    confidence, rtt_ms = arguments.confidence, arguments.rtt_ms
    effort = replace(PLANNED, samples=arguments.samples)

    def planner(limit_ms: float) -> Planner:
        left = Bound(bound.name, limit_ms * NS_PER_MS, bound.share)
        return Planner(arguments.qps, left, confidence, effort, nodes)

    if rtt_ms is not None and bound.limit_ms > rtt_ms:
        distant = planner(bound.limit_ms - rtt_ms).smallest(kind)
        if distant is not None:
            return OFFLOAD, distant, {}
    whole = planner(bound.limit_ms)
    near = whole.smallest(kind)
    place = "" if rtt_ms is None else EDGE if near else NEITHER
    return place, near, {} if near else whole.full(kind)


def _tell(arguments: argparse.Namespace, bound: Bound, rows: Sequence[Row]) -> None:
    network = (
        "" if arguments.rtt_ms is None else f", {arguments.rtt_ms:g} ms of them for the network"
    )
    print(
        f"{arguments.benchmark}: {arguments.qps:,.6g} queries/s, {bound.name} within "
        f"{bound.limit_ms:g} ms{network}; by the queue model, with a confidence of "
        f"{arguments.confidence:.0%}"
    )
    shown = [
        k
        for k, name in enumerate(HEADER)
        if name not in _ASKED or getattr(arguments, _ASKED[name]) is not None
    ]
    cells = [_cells(row) for row in rows]
    print(table([[row[k] for k in shown] for row in cells], [HEADER[k] for k in shown]))
    for row in rows:
        for note in row.kind.notes:
            print(f"{row.kind.name}: {note}.")
        for name, share in row.full.items():
            print(
                f"{row.kind.name}: no number of nodes holds it: {name} would be busy for "
                f"{share:.0%} of the time, with the largest batches."
            )
    for origin in dict.fromkeys(row.kind.origin for row in rows):
        print(f"S(b): {origin}")
    priced = [row for row in rows if row.cost is not None]
    if len(priced) > 1:
        cheapest = min(priced, key=lambda row: row.cost or 0.0)
        print(f"Cheapest of the {len(priced)} with a price: {cheapest.kind.name}.")


def _cells(row: Row) -> list[str]:
    source = "simulated" if row.kind.simulated else "measured"
    fleet = row.fleet
    if fleet is None:
        return [row.kind.name, row.place, "none", *[""] * (len(HEADER) - 4), source]
    power_w, cost = fleet.power_w, row.cost
    shared = max(fleet.loads, key=lambda name: fleet.loads[name])
    return [
        row.kind.name,
        row.place,
        f"{fleet.devices:,}",
        "" if fleet.nodes is None else f"{fleet.nodes:,}",
        str(fleet.candidate),
        f"{fleet.percentile_ns / NS_PER_MS:.3g} ms",
        f"{fleet.busy:.0%}",
        f"{shared} {fleet.loads[shared]:.0%}",
        "" if power_w is None else f"{power_w:,.0f} W",
        "" if cost is None else f"{cost:,.6g}",
        source,
    ]


def _as_json(arguments: argparse.Namespace, bound: Bound, rows: Sequence[Row]) -> dict[str, object]:
    return {
        "benchmark": arguments.benchmark,
        "qps": arguments.qps,
        "bound_ms": bound.limit_ms,
        "percentile": bound.name,
        "rtt_ms": arguments.rtt_ms,
        "confidence": arguments.confidence,
        "kinds": [_row_json(row) for row in rows],
    }


def _row_json(row: Row) -> dict[str, object]:
    """Return one row; what is not known is absent."""
    fleet = row.fleet
    found: dict[str, object] = {
        "kind": row.kind.name,
        "place": row.place or None,
        "simulated": row.kind.simulated,
        "origin": row.kind.origin,
        "notes": list(row.kind.notes) or None,
        "full": dict(row.full) or None,
    }
    if fleet is not None:
        found |= {
            "devices": fleet.devices,
            "nodes": fleet.nodes,
            "shared_busy": dict(fleet.loads),
            "settings": str(fleet.candidate),
            "max_batch_size": fleet.candidate.max_batch_size,
            "max_queue_delay_us": fleet.candidate.max_queue_delay_us,
            "slots": fleet.candidate.slots,
            "latency_ms": fleet.percentile_ns / NS_PER_MS,
            "busy": fleet.busy,
            "power_w": fleet.power_w,
            "cost": row.cost,
        }
    return {key: value for key, value in found.items() if value is not None}
