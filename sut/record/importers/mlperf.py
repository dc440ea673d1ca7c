"""LoadGen's logs: a file, the folder of a run, or the tree of a submission.

The summary's text has had one form since v0.5 (loadgen/results.cc), so it is read first; a detail
log alone does as well. In a tree only results count: not compliance tests, not accuracy tests.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scenarios import scenario, scenario_names
from sut.base.errors import DataError, SutError
from sut.record.importers.source import Source, number, read_source
from sut.record.loadgen_logs import DETAIL_FILE, SUMMARY_FILE, read_detail
from sut.record.table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.record.loadgen_logs import DetailLog

TOOL = "MLPerf LoadGen"
_TITLE = "MLPerf Results Summary"
_PAIR = re.compile(r"^ *(?P<key>[A-Za-z0-9][^:]*?) *: *(?P<value>\S.*?) *$")
_ACCURACY = re.compile(r"^Mode +: Accuracy", re.MULTILINE)
_TREE = re.compile(
    r"(?:(?P<division>closed|open|network)/(?P<submitter>[^/]+)/)?results/(?P<system>[^/]+)/"
    r"(?P<benchmark>[^/]+)/(?P<scenario>[^/]+)/performance/run_(?P<run>\d+)/[^/]+$"
)
_LATENCIES = {
    "Mean latency (ns)": "latency_mean_ns",
    **{
        f"{percent}.00 percentile latency (ns)": f"latency_p{percent}_ns"
        for percent in (50, 90, 95, 97, 99)
    },
    "99.90 percentile latency (ns)": "latency_p999_ns",
}
# The lines with the rate, by scenario; the first that is there counts.
_RATES = {
    "Offline": ("Samples per second",),
    "Server": ("Completed samples per second", "Scheduled samples per second"),
    "SingleStream": ("QPS w/ loadgen overhead",),
}
_TOKENS = ("Completed tokens per second", "Tokens per second")
_PER_QUERY, _PER_SAMPLE = "Per-query latency", "Per-sample latency"
# Of systems/NAME.json: what makes two results of one benchmark differ.
_SYSTEM_FIELDS = (
    *("system_name", "accelerator_model_name", "accelerators_per_node", "number_of_nodes"),
    *("host_processor_model_name", "host_processors_per_node", "framework"),
    *("other_software_stack", "operating_system", "status"),
)


def recognizes(source: Source) -> bool:
    """Say whether this is a summary or a detail log."""
    return _TITLE in source.text[:1000] or source.text.startswith(":::MLL")


def read(source: Source) -> list[Table]:
    """Return the table of one log.

    Raises:
        DataError: names the line that is wrong.
    """
    if _TITLE in source.text[:1000]:
        row, sut = _of_summary(source)
    else:
        row, sut = _of_detail(Path(source.where)), None
    configuration = {"Tool": TOOL, **({"SUT": sut} if sut else {})}
    return [_table(source.where, configuration, {}, [row])]


def read_folder(folder: Path) -> list[Table]:
    """Return the tables of a folder: one for each benchmark on each system of a tree.

    A log of a tree that cannot be read becomes a row with the problem.

    Raises:
        DataError: there is no log of a performance test, or the only one is wrong.
    """
    logs = sorted(
        {path.parent for name in (SUMMARY_FILE, DETAIL_FILE) for path in _logs(folder, name)}
    )
    found: dict[_Place, list[tuple[Path, re.Match[str]]]] = {}
    for log in logs:
        if match := _TREE.search((log.absolute() / "x").as_posix()):
            place = _Place(
                match["division"] or "",
                match["submitter"] or "",
                match["system"],
                match["benchmark"],
            )
            found.setdefault(place, []).append((log, match))
    if found:
        return [_of_tree(place, runs) for place, runs in found.items()]
    rows = [row for log in logs if (row := _of_run(log)) is not None]
    if not rows:
        raise DataError(
            f"{folder}: no {SUMMARY_FILE} or {DETAIL_FILE} of a performance test; expected the "
            "folder of a run, or the tree of a submission."
        )
    return [_table(str(folder), {"Tool": TOOL}, {}, rows)]


def _logs(folder: Path, name: str) -> Iterator[Path]:
    return (path for path in folder.rglob(name) if path.is_file())


class _Place(NamedTuple):
    """A benchmark on a system in a tree; division and submitter are empty below them."""

    division: str
    submitter: str
    system: str
    benchmark: str


def _of_tree(place: _Place, runs: list[tuple[Path, re.Match[str]]]) -> Table:
    rows = []
    for log, match in runs:
        several = sum(other["scenario"] == match["scenario"] for _, other in runs) > 1
        point = {"scenario": _scenario(match["scenario"]) or match["scenario"]}
        more: dict[str, int | float | str] = {"run": int(match["run"])} if several else {}
        try:
            row = _of_run(log)
            if row is None:
                continue
            figures, marks, problem = row.figures, row.marks, None
        except SutError as error:
            figures, marks, problem = {}, (), str(error)
        rows.append(
            Row(
                point={**point, **more},
                figures=figures,
                marks=marks,
                problem=problem,
            )
        )
    named = {name.capitalize(): value for name, value in place._asdict().items() if value}
    configuration = {"Tool": TOOL, **named}
    # Above results/SYSTEM/BENCHMARK/SCENARIO/performance/run_N.
    root = runs[0][0].absolute().parents[5]
    title = f"{place.benchmark} on {place.system}"
    if place.submitter:
        title += f", {place.submitter}"
    return _table(title, configuration, _described(root / "systems" / f"{place.system}.json"), rows)


def _table(
    title: str, configuration: dict[str, str], environment: dict[str, str], rows: list[Row]
) -> Table:
    return Table(
        title=f"{TOOL}: {title}",
        source=TOOL,
        load="loadgen",
        configuration=configuration,
        environment=environment,
        rows=tuple(rows),
    )


def _described(path: Path) -> dict[str, str]:
    """Return what a system's file says; nothing without a file that can be read."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    return {key: str(fields[key]) for key in _SYSTEM_FIELDS if fields.get(key) not in {None, ""}}


def _of_run(folder: Path) -> Row | None:
    """Return the row of the folder of one test; None of an accuracy test."""
    summary, detail = folder / SUMMARY_FILE, folder / DETAIL_FILE
    if summary.is_file():
        source = read_source(summary)
        # A log whose test died is empty; that of an accuracy test has no title today.
        if _TITLE in source.text or not detail.is_file():
            return None if _ACCURACY.search(source.text) else _of_summary(source)[0]
    of_accuracy = read_detail(detail).get("effective_test_mode") == "AccuracyOnly"
    return None if of_accuracy else _of_detail(detail)


def _of_summary(source: Source) -> tuple[Row, str | None]:
    """Return the row of a summary, and what the SUT calls itself."""
    found, lines = _pairs(source)
    name = _scenario(found.get("Scenario", ""))
    if name is None:
        line = lines.get("Scenario", 1)
        came = found.get("Scenario", "missing")
        raise source.error(
            line, f"scenario is {came[:40]!r}; expected one of {', '.join(scenario_names())}."
        )
    if found.get("Mode", "").startswith("Accuracy"):
        raise source.error(lines["Mode"], "an accuracy test has no figures of speed.")

    def figure(key: str) -> float:
        return number(source, lines[key], key, found[key])

    figures = {name_: figure(key) for key, name_ in _LATENCIES.items() if key in found}
    if rate := next((key for key in _RATES.get(name, ()) if key in found), None):
        figures["samples_per_s"] = figure(rate)
        if name != "Offline":
            figures["requests_per_s"] = figures["samples_per_s"]
    if tokens := next((key for key in _TOKENS if key in found), None):
        figures["tokens_per_s"] = figure(tokens)
    if "Samples per query" in found:  # MultiStream until v1.1: its result
        figures["streams"] = figure("Samples per query")
    if name == "Offline" and "samples_per_query" in found:
        figures["samples"] = figure("samples_per_query")
    if not figures:
        raise source.error(1, f"no figure of {name} in it; expected a whole summary of LoadGen.")
    if (verdict := found.get("Result is")) not in {"VALID", "INVALID"}:
        raise source.error(lines.get("Result is", 1), "no line Result is : VALID or INVALID.")
    marks = ("LoadGen calls it INVALID",) if verdict == "INVALID" else ()
    return Row(point={"scenario": name}, figures=figures, marks=marks), found.get("SUT name")


def _pairs(source: Source) -> tuple[dict[str, str], dict[str, int]]:
    """Return the first value of each key, and its line; latencies of queries come before samples'.

    Per-sample latencies of MultiStream until v1.1 are left out: the latency of a query counts.
    """
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, text in enumerate(source.text.replace("\0", "").splitlines(), 1):
        if text.startswith(_PER_SAMPLE):
            break
        if pair := _PAIR.match(text):
            found.setdefault(pair["key"], pair["value"])
            lines.setdefault(pair["key"], line)
    return found, lines


def _scenario(text: str) -> str | None:
    """Return LoadGen's name of a scenario, which older logs wrote in two words."""
    return next((n for n in scenario_names() if n.lower() == text.replace(" ", "").lower()), None)


def _of_detail(path: Path) -> Row:
    detail = read_detail(path)
    name = _scenario(str(detail.get("effective_scenario", "")))
    where = path / DETAIL_FILE if path.is_dir() else path
    if name is None:
        raise DataError(f"{where}: no effective_scenario in it; expected a whole log of LoadGen.")
    try:
        return _row_of_detail(detail, name)
    except SutError as error:
        raise DataError(f"{where}: {error}") from error


def _row_of_detail(detail: DetailLog, name: str) -> Row:
    rules = scenario(name)
    metric = rules.metric(detail)
    figures = {f"latency_{key}_ns": ns for key, ns in rules.latency_ns(detail).items()}
    if metric.unit == "samples/s":
        figures["samples_per_s"] = metric.value
        if name != "Offline":
            figures["requests_per_s"] = metric.value
    marks = () if detail.validity == "VALID" else ("LoadGen calls it INVALID",)
    return Row(point={"scenario": name}, figures=figures, marks=marks)
