"""`sut compare`: what it refuses, what it names, what its gate does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from sut.base.errors import ConfigError
from sut.record.table import Row, Table
from sut.report import tuning
from sut.report.compare import Comparison, compare, gate
from sut.report.compare_sources import Measured, read_side
from sut.report.compare_text import lines
from tests.sut.helpers.program import run_here
from tests.sut.report import made

STEADY = (1.0,) * 16
RATE = "samples_per_s"


def measured(*rates: float | None, **changes: object) -> Measured:
    """A sweep with these rates at batch 1, 2, 4, ...; None: a point that failed."""
    rows = tuple(
        Row(
            point={"batch": 2**k},
            figures={} if rate is None else {RATE: rate, "latency_p99_ns": 1e9 / rate, "little": 1},
            windows=() if rate is None else tuple(rate * w for w in STEADY),
            problem="out of memory" if rate is None else None,
        )
        for k, rate in enumerate(rates)
    )
    table = Table(
        title="t",
        source="sut sweep",
        load="offline",
        configuration={"Benchmark": "resnet50", "slots": "2"},
        identity={"model": "aa" * 32, "data": "bb" * 32},
        environment={"driver": "570", "cpu": "one"},
        rows=rows,
    )
    table = structs.replace(table, **changes)
    return Measured("here", table, (None,) * len(table.rows))


def against(a: Measured, b: Measured, metric: str = RATE) -> Comparison:
    return compare([a], [b], metric)


def text(found: Comparison, min_ratio: float | None = None) -> str:
    return "\n".join(lines(found, None if min_ratio is None else gate(found, min_ratio)))


# --- what may be compared


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"identity": {"model": "cc" * 32}}, "another model: aaaaaaaaaaaa and cccccccccccc"),
        ({"identity": {"data": "dd" * 32}}, "another data: bbbbbbbbbbbb and dddddddddddd"),
        ({"configuration": {"Benchmark": "bert"}}, "another benchmark: resnet50 and bert"),
    ],
)
def test_other_models_data_and_benchmarks_are_refused(
    changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        against(measured(100), measured(100, **changes))


def test_another_clip_is_refused() -> None:
    a, b = (measured(100, identity={"clip": name * 64}) for name in "ab")

    with pytest.raises(ConfigError, match="another clip"):
        against(a, b)


def test_old_names_of_mlperf_are_todays() -> None:
    old, new = ({"Benchmark": name} for name in ("ssd-large", "ssd-resnet34"))

    assert against(measured(100, configuration=old), measured(100, configuration=new)).cells


def test_repeats_of_another_model_are_refused_too() -> None:
    with pytest.raises(ConfigError, match="another model"):
        compare([measured(1), measured(1, identity={"model": "cc" * 32})], [measured(1)], RATE)


def test_what_is_unknown_on_one_side_is_a_warning() -> None:
    found = against(measured(100), measured(100, identity={"model": "aa" * 32}))

    assert found.warnings == [
        "the data is known of A alone: nobody knows whether they are the same."
    ]


def test_two_tables_that_say_nothing_are_compared_with_a_warning() -> None:
    silent = {"identity": {}, "configuration": {"Tool": "perf_analyzer"}}

    found = against(measured(100, **silent), measured(100, **silent))

    assert "neither side says" in found.warnings[0]


def test_doubtful_rows_and_simulated_ones_are_warnings() -> None:
    a = measured(100)
    rows = tuple(structs.replace(row, marks=("INVALID",), simulated=True) for row in a.table.rows)

    found = against(a, measured(100, rows=rows))

    assert any("one side was measured on simulated devices" in text for text in found.warnings)
    assert "B: 1 of 1 rows are doubtful, such as batch 1: INVALID." in found.warnings


def test_an_unknown_figure_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match='Did you mean "latency_p99_ns"'):
        against(measured(100), measured(100), "latency_p98_ns")


def test_sides_without_a_common_point_are_refused() -> None:
    other = tuple(Row(point={"concurrency": 8}, figures={RATE: 1.0}) for _ in range(1))

    with pytest.raises(ConfigError, match="A has batch 1; batch 2; B has concurrency 8"):
        against(measured(1, 2), measured(1, rows=other))


# --- what is said


def test_the_environment_and_the_settings_come_first() -> None:
    b = measured(
        100,
        environment={"driver": "575", "cpu": "one"},
        configuration={"Benchmark": "resnet50", "slots": "4", "graphs": "on"},
    )

    found = against(measured(100), b)

    assert found.environment == [("driver", "570", "575")]
    assert found.settings == [("slots", "2", "4"), ("graphs", "-", "on")]
    shown = text(found)
    assert shown.index("570 -> 575") < shown.index("B / A")


def test_commands_and_the_load_of_the_machine_differ_only_where_it_matters() -> None:
    a, b = (
        measured(
            100,
            command=f"sut sweep -b resnet50 --out {out} --load offline{more}",
            environment={"cpu": "one", "load_average_1min": out},
        )
        for out, more in (("x", ""), ("y", " --set slow=1.05"))
    )

    found = against(a, b)

    assert found.environment == []
    assert found.settings == [("words of the command", "-", "--set slow=1.05")]


def test_cells_are_matched_by_their_point_whatever_the_order() -> None:
    a, b = measured(100, 200, 400), measured(400, 100, 200)
    rows = tuple(
        structs.replace(row, point={"batch": row.figures[RATE] / 100}) for row in b.table.rows
    )

    found = against(a, measured(1, rows=rows))

    assert [cell.estimate.interval().ratio for cell in found.cells] == pytest.approx([1, 1, 1])


def test_points_of_one_side_alone_are_named() -> None:
    found = against(measured(100, 200, 300), measured(100, 200))

    assert found.only_a == ["batch 4"]
    assert "only in A: batch 4" in text(found)


def test_worst_and_best_are_by_what_is_better() -> None:
    a, b = measured(100, 100, 100), measured(90, 110, 100)

    by_rate, by_latency = text(against(a, b)), text(against(a, b, "latency_p99_ns"))

    for shown in (by_rate, by_latency):
        assert "worst: batch 1" in shown
        assert "best: batch 2" in shown


def test_the_parts_of_both_ways_explain_the_difference() -> None:
    """LoadGen at the dispatcher itself, and through a server: what only one way has is named."""
    own = {"queue_ns": 5e6, "dispatch_ns": 1e6, "compute_ns": 11e6, "completion_ns": 1e6}
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    http = {f"client_server_{name}_ns": ns for name, ns in zip(parts, own.values(), strict=True)}
    way = {"client_send_ns": 0.5e6, "client_network_server_ns": 1e6, "client_receive_ns": 0.25e6}
    rest = {"queue_ns": 0.25e6, "dispatch_ns": 1e6, "compute_ns": 19e6, "completion_ns": 0.5e6}

    def side(latency_ns: float, **figures: float) -> Measured:
        row = Row(point={"scenario": "Server"}, figures={"latency_mean_ns": latency_ns, **figures})
        return measured(rows=(row,), source="sut run")

    found = compare(
        [side(18.5e6, **own)], [side(20.75e6, **{**rest, **http, **way})], "latency_mean_ns"
    )

    differs = {part.name: part.more_ns for part in found.parts}
    assert sum(differs.values()) == 2 * differs.pop("mean latency") == 2 * 2.25e6
    assert differs["before and after"] == 0.5e6
    assert differs["network and server"] == 1e6
    assert differs["queue"] == differs["compute"] == 0
    words = [line.split() for line in text(found).splitlines()]
    assert ["network", "and", "server", "-", "1.000", "+1.000"] in words


def test_a_difference_is_claimed_or_not() -> None:
    assert "no difference is known" in text(against(measured(100), measured(100.5)))
    assert "B is worse: 4.8% lower" in text(against(measured(100), measured(100 / 1.05)))
    slow = against(measured(100), measured(100 / 1.05), "latency_p99_ns")
    assert "no difference is known, to within" in text(slow)  # no windows: 3 % is assumed


def test_repeats_measure_the_spread_between_runs() -> None:
    a, b = ([measured(rate) for rate in side] for side in ((99, 100, 101), (94, 95, 96)))

    found = compare(a, b, RATE)

    assert found.ratios.spread.source == "repeats"
    assert found.ratios.spread.share == pytest.approx(0.01, rel=0.05)
    assert found.mean.high < 1


# --- the gate


def test_the_gate_fails_for_a_real_slowdown_and_passes_noise() -> None:
    slower, noise = (against(measured(100), measured(rate)) for rate in (100 / 1.05, 98))

    assert not gate(slower, 0.97).passed
    assert gate(noise, 0.97).passed
    assert gate(slower, 0.9).passed


def test_the_gate_fails_for_a_single_cell_of_many() -> None:
    a, b = measured(*[100.0] * 8), measured(*[100.0] * 7, 90)

    judged = gate(against(a, b), 0.97)

    assert judged.reasons == ("batch 128 is at most 0.918",)


def test_a_doubtful_cell_is_named_and_fails_no_gate_by_itself() -> None:
    a, b = measured(*[100.0] * 8), measured(*[100.0] * 7, 90)
    rows = tuple(
        structs.replace(row, marks=("not steady.",) if row.point == {"batch": 128} else ())
        for row in b.table.rows
    )

    found = against(a, measured(*[100.0] * 7, 90, rows=rows))

    assert gate(found, 0.97).passed
    assert "batch 128: not steady." in found.warnings[0]
    assert text(found).count("doubtful") == 2


def test_where_lower_is_better_the_gate_turns_the_ratio_round() -> None:
    a = [measured(rate) for rate in (100, 100.2, 99.8)]
    b = [measured(rate * 0.95) for rate in (100, 100.2, 99.8)]

    assert not gate(compare(a, b, "latency_p99_ns"), 0.97).passed
    assert gate(compare(b, a, "latency_p99_ns"), 0.97).passed


def test_a_point_that_failed_in_b_alone_fails_the_gate() -> None:
    judged = gate(against(measured(100, 200), measured(100, None)), 0.97)

    assert judged.reasons == ("only A has batch 2: out of memory",)
    assert gate(against(measured(100, None), measured(100, 200)), 0.97).passed


def test_a_gate_that_cannot_see_says_so() -> None:
    a, b = ([measured(rate) for rate in side] for side in ((80, 120), (90, 110)))

    judged = gate(compare(a, b, RATE), 0.97)

    assert judged.passed
    assert judged.blind is not None
    assert "allows 3.0%" in judged.blind


def test_a_figure_without_a_better_way_is_no_gate() -> None:
    with pytest.raises(ConfigError, match="neither better"):
        gate(against(measured(100), measured(100), "little"), 0.97)


# --- folders


def test_a_run_is_compared_with_the_windows_of_its_trace(tmp_path: Path) -> None:
    a = made.run_folder(tmp_path / "a")

    (found,) = read_side(str(a))

    (row,) = found.table.rows
    assert row.point == {"scenario": "Server"}
    assert found.table.identity == {"model": "ab" * 32}
    assert found.table.configuration["max_batch_size"] == "8"
    assert found.table.environment["cpu"] == "a <fast> one"
    assert len(found.windows(row, RATE)) == 16
    assert found.windows(row, "mean_batch") == ()


def test_scenarios_of_one_folder_are_cells_and_commas_are_repeats(tmp_path: Path) -> None:
    for side in ("a", "b"):
        made.run_folder(tmp_path / side / "Server")
        made.run_folder(tmp_path / side / "Offline", scenario="Offline")

    pair = read_side(f"{tmp_path}/a,{tmp_path}/b")

    assert [len(one.table.rows) for one in pair] == [2, 2]
    assert len(compare(pair, pair, RATE).cells) == 2


def test_the_confirmed_runs_of_a_tuning_are_repeats(tmp_path: Path) -> None:
    story = made.story()
    assert story.answer is not None
    (run,) = story.answer.confirmed
    runs = tuple(replace(run, folder=f"trials/00{k}") for k in (1, 2, 3))
    for run in runs:
        made.run_folder(tmp_path / run.folder)
    tuning.write(tmp_path, replace(story, answer=replace(story.answer, confirmed=runs)))

    assert len(read_side(str(tmp_path))) == 3


def test_a_table_is_named_by_its_folder_or_its_file(tmp_path: Path) -> None:
    folder = made.table_folder(tmp_path / "sweep", made.table())

    assert read_side(str(folder))[0].table == read_side(str(folder / "table.json"))[0].table


def test_the_verb_prints_json_and_exits_3_where_the_gate_fails(tmp_path: Path) -> None:
    a = made.table_folder(tmp_path / "a", made.table())
    b = made.table_folder(tmp_path / "b", made.table(speed=0.8))

    done = run_here("compare", a, b, "--min-ratio", 0.97, "--json")

    content = json.loads(done.out)
    assert done.code == 3
    assert len(content["cells"]) == 11
    assert content["geometric_mean"]["ratio"] == pytest.approx(0.8)
    assert content["gate"]["passed"] is False
    assert "the gate failed" in done.err
    assert run_here("compare", a, a, "--min-ratio", 0.97).code == 0


def test_a_page_says_the_same_and_writes_over_no_other_file(tmp_path: Path) -> None:
    a = made.table_folder(tmp_path / "a", made.table("a <sweep>"))
    b = made.table_folder(tmp_path / "b", made.table(speed=0.8))
    page, other = tmp_path / "page.html", tmp_path / "notes.txt"
    other.write_text("mine")

    done = run_here("compare", a, b, "--min-ratio", 0.97, "--html", page)
    refused = run_here("compare", a, b, "--html", other)

    shown = page.read_text("utf-8")
    assert done.code == 3
    assert "a &lt;sweep&gt;" in shown
    assert "B is worse: 20.0% lower" in shown
    assert "gate: failed, below 0.97" in shown
    assert (refused.code, other.read_text()) == (2, "mine")
    assert "--html: " in refused.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("none", "none"), "none: no such folder"),
        ((",", "x"), "names no folder"),
        (("empty", "empty"), "no summary.json and no table.json"),
        (("accuracy", "accuracy"), "an accuracy test has no figures of speed"),
        (("tuning", "tuning"), "a tuning without a confirmed run"),
        (("twice", "twice"), "several runs of one scenario"),
        (("a", "a", "--min-ratio", "2"), 'argument --min-ratio: "2"'),
        (("a", "a", "--run-to-run", "-1"), "expected a share"),
        (("a", "a", "--metric", "speed"), "no row has speed"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    made.run_folder(Path("accuracy"), mode="accuracy")
    made.tuning_folder(Path("tuning"))
    made.run_folder(Path("twice/1"))
    made.run_folder(Path("twice/2"))
    made.table_folder(Path("a"), made.table())

    done = run_here("compare", *words)

    assert done.code == 2
    assert says in done.err
    assert done.err.count("\n") == 1
