"""Random files: nothing but ConfigError comes out, and the real LoadGen reads all that is accepted.

FromConfig with conf_type 0 (the built-in mlperf.conf alone) and then 2 (a file alone) gives what
conf_type 1 gives once a process, and can be repeated.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import mlperf_loadgen as lg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sut.base.errors import ConfigError
from sut.config.user_conf import UserConf, load, parse, render
from sut.config.user_conf.keys import KEYS, SCENARIOS, Key

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.slow

fuzz = settings(max_examples=100, derandomize=True, deadline=None, database=None)

OWN = "own.model"
MODELS = ("*", "resnet50", "llama2-70b", "gptj", OWN)
READ = tuple(row for row in KEYS if row.category not in {"ignored", "audit"})
ANY_CHARACTER = st.characters(exclude_categories=())
# What turns a valid file into one that is nearly valid.
EDITS = (*"=#.*0x1e-+_ \t\v\f\r\n", "\0", "\u00a0", "\ufeff", "\r\n", "# ", " = ")
NOISE = st.sampled_from(EDITS)


def number(row: Key) -> st.SearchStrategy[int | float]:
    low, high = row.low, row.high
    if row.kind == "fraction":
        return st.floats(low, high) | st.floats(low, min(high, 1e3))
    return st.integers(int(low), int(high)) | st.integers(int(low), min(int(high), 20))


@st.composite
def place_and_value(draw: st.DrawFn, name: str) -> tuple[str, str]:
    rows = [row for row in READ if row.name == name]
    scenarios = [scenario for row in rows for scenario in row.scenarios]
    scenario = draw(st.sampled_from(["*", *scenarios]))
    here = [row for row in rows if scenario in ("*", *row.scenarios)]
    value = draw(number(next((row for row in here if row.kind != "fraction"), here[0])))
    text = repr(value)  # with an exponent, where Python prints one
    if isinstance(value, float) and text.endswith(".0") and draw(st.booleans()):
        text = text.removesuffix("0")
    return f"{draw(st.sampled_from(MODELS))}.{scenario}.{name}", text


@st.composite
def conf_text(draw: st.DrawFn) -> str:
    """Few keys in many places, so that the order of LoadGen's lookup matters."""
    names = draw(st.lists(st.sampled_from([row.name for row in READ]), min_size=1, max_size=3))
    names += [row.needs for row in READ if row.name in names and row.needs]
    pairs = st.sampled_from(names).flatmap(place_and_value)
    settings_ = draw(st.lists(pairs, min_size=2, max_size=6, unique_by=lambda pair: pair[0]))
    gap = st.sampled_from([" ", " ", "\t", "  ", "\v", "\f"])
    chatter = st.sampled_from(["", "", "# note\n", "\n", "####\n", "#*.Server.target_qps = 7\n"])
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return "".join(
        f"{draw(chatter)}{name}{draw(gap)}={draw(gap)}{value}{end}" for name, value in settings_
    )


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid file with one or two edits, half of them at the start of a value."""
    text = draw(conf_text())
    for _ in range(draw(st.integers(1, 2))):
        values = [at + 1 for at, sign in enumerate(text) if sign == "="]
        after = draw(st.integers(0, 1))
        at = draw(st.sampled_from([v + after for v in values] or [0]) | st.integers(0, len(text)))
        cut = draw(st.sampled_from([0, 0, 1]))
        text = text[:at] + draw(NOISE) + text[at + cut :]
    return text


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "user.conf"


def loadgen_reads(path: Path, model: str, scenario: str) -> tuple[lg.TestSettings, lg.TestSettings]:
    """Return LoadGen's settings without the file and with it."""
    without, with_file = lg.TestSettings(), lg.TestSettings()
    assert without.FromConfig("", model, scenario, 0) == 0
    assert with_file.FromConfig("", model, scenario, 0) == 0
    assert with_file.FromConfig(str(path), model, scenario, 2) == 0
    return without, with_file


def check_against_loadgen(conf: UserConf, path: Path) -> None:
    """LoadGen sets what `effective` says and nothing else; a warning names each line without use.

    A line that it uses nowhere says the same as one that it uses.
    """
    used = set()
    for model in dict.fromkeys(("*", *(entry.model for entry in conf.entries))):
        for scenario in SCENARIOS:
            effective = conf.effective(model, scenario)
            without, with_file = loadgen_reads(path, model, scenario)
            used |= set(effective.values())
            written = {entry.key for entry in conf.entries}
            for row in READ:
                attribute = row.attribute or row.name
                got = getattr(with_file, attribute)
                if row.name in effective and scenario in row.scenarios:
                    value = effective[row.name].value
                    assert float(got) == float(value) * row.scale, (model, scenario, attribute)
                elif row.name not in written:
                    assert got == getattr(without, attribute), (model, scenario, attribute)
    idle = set(conf.entries) - used
    warned = {int(warning.split(":")[1]) for warning in conf.warnings}
    assert {entry.line for entry in idle} <= warned
    assert {(entry.key, entry.value) for entry in idle} <= {(e.key, e.value) for e in used}


@fuzz
@given(st.text(ANY_CHARACTER) | mutated())
def test_no_text_makes_parse_raise_anything_but_config_error(text: str) -> None:
    problems: list[str] = []
    try:
        parse(text, "user.conf", [OWN])
    except ConfigError as error:
        problems = str(error).split("\n")

    assert all(line.startswith("user.conf:") and line.isprintable() for line in problems)


@fuzz
@given(raw=st.binary() | mutated().map(lambda text: text.encode("utf-16")))
def test_no_bytes_make_load_raise_anything_but_config_error(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)

    problems: list[str] = []
    try:
        load(path, [OWN])
    except ConfigError as error:
        problems = str(error).splitlines()

    assert all(line.startswith(f"{path}:") for line in problems)


@fuzz
@given(path=st.text(ANY_CHARACTER))
def test_no_path_makes_load_raise_anything_but_config_error(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path, [])

    assert all(
        line.isprintable() for line in str(caught.value).splitlines()
    )  # "setup.py" is a file


@pytest.mark.parametrize("texts", [conf_text(), mutated()], ids=["valid", "mutated"])
@fuzz
@given(data=st.data())
def test_loadgen_reads_every_accepted_file_as_we_do(
    path: Path, texts: st.SearchStrategy[str], data: st.DataObject
) -> None:
    text = data.draw(texts)
    try:
        conf = parse(text, "user.conf", [OWN])
    except ConfigError:
        return
    path.write_bytes(text.encode())

    check_against_loadgen(conf, path)


def test_a_line_that_another_makes_idle_is_accepted_if_both_say_the_same(path: Path) -> None:
    text = "*.*.coalesce_queries = 0\n*.Server.coalesce_queries = {}\n"
    path.write_text(text.format(0), "ascii")

    conf = parse(text.format(0), "user.conf", [OWN])

    check_against_loadgen(conf, path)
    with pytest.raises(ConfigError, match=r"user\.conf:1: "):
        parse(text.format(1), "user.conf", [OWN])


def test_loadgen_reads_what_is_accepted_after_any_single_edit(path: Path) -> None:
    good = "# x\n*.Server.min_duration = 70\nbert.*.min_duration = 9\n*.*.target_qps = 2.5\n"
    ends = [(good[:at], good[at:]) for at in range(len(good) + 1)]
    texts = {head + edit + tail[cut:] for head, tail in ends for edit in EDITS for cut in (0, 1)}
    texts |= {head + tail[1:] for head, tail in ends}
    accepted = 0

    for text in sorted(texts):
        try:
            conf = parse(text, "user.conf", [OWN])
        except ConfigError:
            continue
        accepted += 1
        path.write_bytes(text.encode())
        check_against_loadgen(conf, path)

    assert 100 < accepted < len(texts) / 2


@fuzz
@given(row=st.sampled_from(READ), data=st.data())
def test_loadgen_reads_back_what_render_writes(path: Path, row: Key, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    scenario = data.draw(st.sampled_from(row.scenarios))
    switches = {row.needs: 1} if row.needs else {}
    values = {row.name: data.draw(number(row)), **switches}

    text = render(model, scenario, values)

    conf = parse(text, "user.conf", [OWN])
    assert {key: e.value for key, e in conf.effective(model, scenario).items()} == values
    path.write_text(text, encoding="ascii")
    check_against_loadgen(conf, path)


RUN = """
import json, sys
import mlperf_loadgen as lg
path, model, scenario, out = sys.argv[1:]
settings = lg.TestSettings()
assert settings.FromConfig(path, model, scenario) == 0
settings.scenario = getattr(lg.TestScenario, scenario)
log = lg.LogSettings()
log.log_output.outdir = out
log.enable_trace = False
def issue(ids, indices):
    lg.QuerySamplesComplete([lg.QuerySampleResponse(i, 0, 0) for i in ids])
sut = lg.ConstructFastSUT(issue, lambda: None)
library = lg.ConstructQSL(64, 64, lambda indices: None, lambda indices: None)
lg.StartTestWithLogSettings(sut, library, settings, log, "no-audit.config")
lg.DestroyQSL(library)
lg.DestroyFastSUT(sut)
"""


def run_loadgen(conf: str, model: str, scenario: str, folder: Path) -> Mapping[str, float]:
    """Run one test in a process of its own and return the records of its detail log."""
    path = folder / "user.conf"
    path.write_text(conf, encoding="ascii")
    subprocess.run(
        [sys.executable, "-c", RUN, str(path), model, scenario, str(folder)], check=True, timeout=30
    )
    lines = (folder / "mlperf_log_detail.txt").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]
    return {record["key"]: record["value"] for record in records}


@pytest.mark.parametrize(
    ("model", "scenario", "extra", "logged"),
    [
        (
            "resnet50",
            "Server",
            {"target_qps": 123.25, "target_latency": 17, "target_latency_percentile": 97.5,
             "coalesce_queries": 1, "max_async_queries": 999, "max_duration": 5000},
            {"requested_server_target_qps": 123.25, "effective_target_qps": 123.25,
             "effective_target_latency_ns": 17_000_000, "effective_max_async_queries": 999,
             "effective_target_latency_percentile": 0.975, "effective_max_duration_ms": 5000,
             "requested_server_coalesce_queries": True},
        ),
        (
            "own.model",
            "Offline",
            {"target_qps": 0.5, "performance_sample_count_override": 16,
             "sample_concatenate_permutation": 1},
            {"requested_offline_expected_qps": 0.5, "effective_performance_sample_count": 16,
             "effective_sample_concatenate_permutation": True, "effective_samples_per_query": 3},
        ),
        (
            "3d-unet",
            "SingleStream",
            {"target_latency": 0.0625, "target_latency_percentile": 80, "max_query_count": 5000},
            {"requested_single_stream_expected_latency_ns": 62500,
             "effective_target_latency_percentile": 0.8, "effective_max_query_count": 5000},
        ),
        (
            "llama2-70b",
            "MultiStream",
            {"target_latency": 2.5, "samples_per_query": 4, "use_token_latencies": 0},
            {"requested_multi_stream_expected_latency_ns": 2_500_000,
             "effective_samples_per_query": 4},
        ),
    ],
)  # fmt: skip
def test_a_real_run_logs_the_values_of_the_file(
    tmp_path: Path, model: str, scenario: str, extra: dict[str, float], logged: dict[str, float]
) -> None:
    text = render(model, scenario, {"min_duration": 40, "min_query_count": 3, **extra})

    detail = run_loadgen(text, model, scenario, tmp_path)

    expected = {"requested_min_duration_ms": 40, "requested_min_query_count": 3, **logged}
    assert {key: detail[key] for key in expected} == pytest.approx(expected)
    assert "error_invalid_config" not in detail
