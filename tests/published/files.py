"""The files of the published machines: their curves, and a folder each in user_confs/."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from typing import TYPE_CHECKING

from backends.simulated.curve import CURVES_DIR, Curve
from sut.config.system import PUBLISHED, SYSTEM_FILE, SYSTEMS
from tests.published.pairs import benchmark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.published.fit import Fit
    from tests.published.pairs import Pair

    Key = tuple[str, str]

CURVES = CURVES_DIR / "published.csv"
FOLDER = SYSTEMS / PUBLISHED
# More slots than this have to be asked of a simulated device.
_USUAL_SLOTS = 8
_HEADER = """\
# Time of one batch on one device of a published machine. A fit to two published results, not a
# measurement of S(b): S(b) = S0 + b s. Offline's rate at its batch is one point of the line. S0,
# 0.25 ms or more, is the largest that gives no longer p99 than Server's, at its rate and settings,
# in a model of the queue. fit=bent: Server was faster than that line; S0 is 0.25 ms, and the line
# bends at Server's batch. fit=server: the same without a larger batch of Offline. fit=loose:
# Offline's rate alone, for the model does not reach the p99.
# Source: mlcommons/inference_results_v0.5 to v5.1, closed division; tests/published/pairs.csv.
"""


def curves_text(fits: Mapping[Key, Fit]) -> str:
    """Return the file of the curves."""
    out = io.StringIO()
    out.write(_HEADER)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("system", "benchmark", "fit", "batch", "ms"))
    for (system, name), fit in sorted(fits.items()):
        for batch, ms in fit.points_ms:
            writer.writerow((system, name, fit.kind, batch, f"{ms:.5f}"))
    return out.getvalue()


def read_curves() -> dict[Key, Curve]:
    """Return the committed curves, with the kind of fit as provenance."""
    points: dict[Key, list[tuple[int, float]]] = defaultdict(list)
    kinds: dict[Key, str] = {}
    lines = [line for line in CURVES.read_text().splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        key = row["system"], row["benchmark"]
        points[key].append((int(row["batch"]), float(row["ms"])))
        kinds[key] = row["fit"]
    return {key: Curve(tuple(found), kinds[key]) for key, found in points.items()}


def folder_files(pairs: Sequence[Pair]) -> dict[Path, str]:
    """Return every file of the folders by its path."""
    machines: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        machines[pair.system].append(pair)
    found = {}
    for system, own in machines.items():
        found[FOLDER / system / SYSTEM_FILE] = _system_text(own)
        found[FOLDER / system / "user.conf"] = _conf_text(own)
    return found


def write(files: Mapping[Path, str]) -> None:
    """Write them."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _system_text(own: Sequence[Pair]) -> str:
    first = own[0]
    devices = ", ".join(f'"{device}"' for device in range(first.devices))
    lines = [
        f"# {first.submitter}, {first.submitted}, MLPerf Inference {first.round}, closed division.",
        "# Made by make published; do not edit. The devices are simulated: each takes the time",
        "# that a fit to the published results gives (backends/simulated/curves/published.csv), so",
        "# every result says `simulated: true` and names the fit, and none can be submitted.",
        "# Batch sizes, slots and delays are the published ones (gpu_batch_size, gpu_copy_streams,",
        f"# deque_timeout_usec). Streams are not simulated; Server had {_streams(own)}.",
        *(f"# Source: {pair.source}" for pair in own),
        f"description: {first.devices} x {first.gpu}, simulated after the results of "
        f"{first.submitter} in MLPerf Inference {first.round}",
        "backend: simulated",
        f"devices: [{devices}]",
        "harness:",
        "  workers: process",
        "benchmarks:",
    ]
    for pair in own:
        lines += _sections(pair)
    return "\n".join(lines) + "\n"


def _streams(own: Iterable[Pair]) -> str:
    return ", ".join(f"{pair.streams} ({pair.benchmark})" for pair in own)


def _sections(pair: Pair) -> list[str]:
    where = f"system={pair.system},benchmark={pair.benchmark}"
    slots = f", slots: {pair.slots}" if pair.slots > _USUAL_SLOTS else ""
    options = f'backend_options: {{curve: published, curve_where: "{where}"{slots}}}'
    server = (
        f"max_batch_size: {pair.batch}, slots: {pair.slots}, max_queue_delay_us: {pair.delay_us}"
    )
    return [
        f"  {pair.benchmark}:",
        f"    Server: {{{server}, {options}}}",
        f"    Offline: {{max_batch_size: {pair.offline_batch}, slots: {pair.slots}, {options}}}",
        f"    SingleStream: {{max_batch_size: 1, {options}}}",
        f"    MultiStream: {{max_batch_size: 8, {options}}}",
    ]


def _conf_text(own: Sequence[Pair]) -> str:
    lines = ["# The published rates. Made by make published."]
    for pair in own:
        name = benchmark(pair.benchmark).loadgen_name
        lines += [
            f"{name}.Server.target_qps = {pair.qps:.6g}",
            f"{name}.Offline.target_qps = {pair.offline_qps * pair.devices:.6g}",
        ]
        if benchmark(pair.benchmark).rules("Server").target_latency_ms is None:
            lines.append(f"{name}.Server.target_latency = {pair.bound.limit_ms:g}")
    return "\n".join(lines) + "\n"
