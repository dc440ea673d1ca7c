"""What a page says of one run: verdict, the parts of its latency, batches, power, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.record.result import STOPPED
from sut.record.tail import line as tail_line
from sut.record.tail import parts as tail_parts
from sut.report import environment, page, run_charts, words
from sut.report.section import Overview, Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.record.result import Latency, Result
    from sut.report.folder import Run
    from sut.report.section import Block

_MS = 1e6
_HASH = 16  # letters of a hash that are shown
# Of LoadGen's keys, whose names do not say it.
_UNITS = {"target_latency": " ms", "min_duration": " ms"}
_WAY = {
    "queue": "until its batch is closed",
    "dispatch": "until a worker takes the batch up",
    "compute": "the engine and the postprocess",
    "completion": "until QuerySamplesComplete has returned",
    "total": "all of it",
}


def section(run: Run) -> Section:
    """Return what a page says of a run.

    Raises:
        DataError: its trace cannot be read.
    """
    result = run.result
    mode = "" if result.mode == "performance" else f", {result.mode}"
    name = f"{result.benchmark} {result.scenario} on {result.system}{mode}"
    blocks: list[Block] = [
        ("", _verdict(result)),
        ("", page.points([*result.reasons, *result.findings, *result.closed_problems])),
        ("", page.code(result.command)),
        (_tail_title(result), _tail(result)),
        ("Charts", page.figures(run_charts.pictures(run))),
        ("Latency", _latency(result)),
        ("The way of a sample", _parts(result)),
        ("A request to the server", _requests(result)),
        ("Batches", page.facts(_batches(result))),
        ("Power", _power(result)),
        ("Configuration", page.facts(_configuration(run.config, result))),
        ("Environment", page.facts(_environment(run))),
    ]
    row = words.result_row(result)
    return Section(
        title=name,
        about=(
            f"Backend {result.backend}, rules of round {result.round}. "
            f"{environment.started(run.started)}",
        ),
        doubts=tuple(
            text
            for text, holds in (
                (environment.SIMULATED, result.simulated),
                (environment.SYNTHETIC, result.synthetic_data),
            )
            if holds
        ),
        blocks=tuple(blocks),
        overview=Overview(
            "Runs", ("run", *words.HEADER[1:]), ((name, *row[1:]),), (0, 1, 3, len(row) - 1)
        ),
        data={
            "kind": "run",
            "valid": result.valid,
            "metric": None if result.metric is None else result.metric.value,
        },
    )


def _verdict(result: Result) -> str:
    metric, value = words.metric_words(result.scenario, result.metric)
    parts = [words.verdict(result)]
    if result.metric is not None:
        parts.append(f"{metric} {value}")
    if result.accuracy is not None:
        parts.append(words.accuracy_words(result.accuracy))
    if result.interrupted and result.interrupted != STOPPED:
        parts.append(f"ended by {result.interrupted}")
    return page.lead(": ".join((parts[0], ", ".join(parts[1:]))) + ".", is_good=result.valid)


def _tail_title(result: Result) -> str:
    tail = result.tail
    return "" if tail is None else f"What p{100 * tail.percentile:g} is made of"


def _tail(result: Result) -> str:
    tail = result.tail
    if tail is None:
        return ""
    rows = [
        (name, f"{ns / _MS:,.3f}", ns / tail.latency_ns if tail.latency_ns else 0.0)
        for name, ns in tail_parts(tail).items()
    ]
    table = page.meters(("part", "ms"), rows, "Parts of the latency at the bound's percentile")
    return page.paragraph(f"{tail_line(tail)}.") + table


def _latency(result: Result) -> str:
    found: Latency | None = result.latency_ns
    if found is None:
        return ""
    names = {"p999": "p99.9"}
    by_name = found.by_name()
    header = ["", *(names.get(name, name) for name in by_name)]
    row = ["latency, ms", *(f"{ns / _MS:,.3f}" for ns in by_name.values())]
    return page.table(header, [row], title="Latency")


def _parts(result: Result) -> str:
    if result.parts_ns is None:
        return ""
    rows = [
        (name, *(f"{getattr(part, key) / _MS:,.3f}" for key in ("mean", "p50", "p99")), meaning)
        for name, meaning in _WAY.items()
        if (part := getattr(result.parts_ns, name))
    ]
    return page.table(("part", "mean ms", "p50 ms", "p99 ms", ""), rows, (4,), "Parts of latencies")


def _requests(result: Result) -> str:
    found = result.client_parts
    if found is None:
        return ""
    rows = [
        (
            name.replace("_", " "),
            f"{ns / _MS:,.3f}",
            ns / found.request_ns if found.request_ns else 0,
        )
        for name, ns in found.parts()
    ]
    others = ""
    if found.server_requests not in {None, found.requests}:
        others = f" The server counted {found.server_requests:,}: its parts are means over those."
    text = f"{found.requests:,} requests of {found.request_ns / _MS:,.3f} ms.{others}"
    table = page.meters(("part", "mean ms"), rows, "Parts of a request to the server")
    return page.paragraph(text) + table


def _batches(result: Result) -> list[tuple[str, str, str]]:
    batches = result.batches
    busy = result.harness.engine_busy_fraction
    return [
        ("samples", f"{result.samples:,}", ""),
        ("duration", f"{result.duration_s:,.1f} s", ""),
        ("batches", f"{batches.count:,}", ""),
        ("mean size", f"{batches.mean_size:,.2f} samples", ""),
        *((f"closed by {why}", f"{count:,}", "") for why, count in batches.closed_by.items()),
        *((f"{name} busy", f"{share:.1%}", "") for name, share in busy.items()),
    ]


def _power(result: Result) -> str:
    found = result.device_telemetry
    if found is None:
        return ""
    header = ("device", "name", "mean W", "most W", "idle W", "energy J", "°C at most",
              "SM clock MHz", "busy %", "memory GiB", "throttled")  # fmt: skip
    rows = [
        [
            device, f.name, *map(_shown, (
                f.average_power_w, f.peak_power_w, f.idle_power_w, f.energy_j,
                None if f.temperature_c is None else f.temperature_c.max,
                None if f.sm_clock_mhz is None else f.sm_clock_mhz.mean,
                None if f.utilisation_percent is None else f.utilisation_percent.mean,
                None if f.memory_used_bytes is None else f.memory_used_bytes / 2**30,
            )),
            "-" if f.throttled_share is None else f"{f.throttled_share:.0%}",
        ]
        for device, f in found.devices.items()
    ]  # fmt: skip
    line = words.power_line(found)
    return (page.paragraph(f"{line}.") if line else "") + page.table(
        header, rows, (0, 1), "Power by device"
    )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"


def _configuration(config: Mapping[str, object], result: Result) -> list[tuple[str, str, str]]:
    found = [("round", result.round, ""), ("system", result.system, "")]
    for part in ("harness", "loadgen"):
        values = config.get(part)
        for name, setting in values.items() if isinstance(values, dict) else ():
            if isinstance(setting, dict) and setting.get("value") not in ("", {}, None):
                value = f"{_plain(setting['value'])}{_UNITS.get(name, '')}"
                found.append((name, value, str(setting.get("source", ""))))
    for part, key in (("model", "sha256"), ("data", "digest")):
        values = config.get(part)
        if isinstance(values, dict) and values.get(key):
            what = str(values.get("origin") or values.get("description") or "")
            found.append((part, f"{key} {str(values[key])[:_HASH]}…", what))
    return found


def _environment(run: Run) -> list[tuple[str, str, str]]:
    if run.environment:
        return environment.flat(run.environment)
    return environment.flat({"versions": run.result.versions})


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={inner}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
