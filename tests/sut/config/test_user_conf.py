"""What user.conf may say, and what is answered to each thing that LoadGen would misread."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import mlperf_loadgen as lg
import pytest

from sut.base.errors import ConfigError
from sut.config.user_conf import load, parse, render
from sut.config.user_conf.keys import BUILT_IN, KEYS, KNOWN_MODELS, SCENARIOS

ROOT = Path(__file__).parents[3]
GOOD = """\
# Rates of this machine.
*.Server.target_qps = 1234.5
*.Server.coalesce_queries = 1

resnet50.Offline.target_qps = 5000
*.*.min_duration = 60000
mobilenet.SingleStream.target_latency = 1e-1
"""


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "user.conf", ["mobilenet"])
    return str(caught.value)


def line_of_mlperf_conf() -> set[str]:
    """The settings of the mlperf.conf compiled into LoadGen."""
    binary = Path(lg.__file__).read_bytes().decode("latin-1")
    names = "|".join(SCENARIOS)
    return set(re.findall(rf"^[\w.*-]+\.(?:\*|{names})\.\w+ = [\d.]+$", binary, re.MULTILINE))


def test_a_good_file_gives_its_entries_in_order() -> None:
    entries = parse(GOOD, "user.conf", ["mobilenet"]).entries

    assert [(entry.name, entry.value, entry.line) for entry in entries] == [
        ("*.Server.target_qps", 1234.5, 2),
        ("*.Server.coalesce_queries", 1, 3),
        ("resnet50.Offline.target_qps", 5000, 5),
        ("*.*.min_duration", 60000, 6),
        ("mobilenet.SingleStream.target_latency", 0.1, 7),
    ]


def test_a_model_may_have_a_dot_in_its_name() -> None:
    (entry,) = parse("wan-2.2-t2v-a14b.Offline.target_qps = 2", "user.conf", []).entries

    assert (entry.model, entry.scenario, entry.key) == ("wan-2.2-t2v-a14b", "Offline", "target_qps")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "#",
        "########",
        "# anything = at all # é\u00a0",
        "#*.Server.target_qps = 10",
        "\t*.Server.target_qps\x0b=\x0c5\r\n\r\n",
    ],
)
def test_what_loadgen_reads_as_meant_is_accepted(text: str) -> None:
    assert len(parse(text, "user.conf", []).entries) == text.startswith("\t")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("*.Server.target_qps=5", "add the spaces"),
        ("*.Server.target_qps= 5", "add the spaces"),
        ("*.Server.target_qps =5", "add the spaces"),
        ("*.Server.target_qps = 5 # fast", "a line of its own"),
        ("*.Server.target_qps = 5 #fast", "a line of its own"),
        ("*.Server.target_qps = 5 6", "keep one value"),
        ("*.Server.target_qps =", "has no value"),
        ("*.Server.target_qps = # 5", "has no value"),
        ("*.Server.target_qps", "is not a setting"),
        ("*.Server.target_qps 5", "is not a setting"),
        ("*.Server.target_qps # = 5", "is not a setting"),
        ("#a comment", "write `# ...`"),
        ("#a = b", "write `# ...`"),
        ("target_qps = 5", "write all three"),
        ("Server.target_qps = 5", "write all three"),
        ("*.server.target_qps = 5", '"Server"?'),
        ("*.Interactive.target_qps = 5", "expected *, MultiStream"),
        ("*.Server.Target_qps = 5", '"target_qps"'),
        ("*.Server.target_qsp = 5", '"target_qps"'),
        ("*.Server.min_duration_ms = 5", '"min_duration"'),
        ("*.Server.xyzzy = 5", "remove the line"),
        ("Resnet50.Server.target_qps = 5", '"resnet50"'),
        ("mobilenet2.Server.target_qps = 5", '"mobilenet"'),
        (".Server.target_qps = 5", "model '' is unknown"),
        ("*.Server.target_qps = fast", "decimal number"),
        ("*.Server.target_qps = -5", "decimal number"),
        ("*.Server.target_qps = inf", "decimal number"),
        ("*.Server.target_qps = nan", "decimal number"),
        ("*.Server.target_qps = 0x10", "decimal number"),
        ("*.Server.target_qps = 1,5", "decimal number"),
        ("*.Server.target_qps = 1_000", "decimal number"),
        ("*.Server.target_qps = ٣", "decimal number"),
        ("*.Server.target_qps = 0", "0.000001 to 1000000000 1/s"),
        ("*.Server.target_qps = 1e999", "0.000001 to 1000000000 1/s"),
        ("*.SingleStream.target_latency = 0", "expected 0.001 to"),
        ("*.SingleStream.target_latency = 1e-999", "expected 0.001 to"),
        ("*.Server.target_latency = 0", "expected 1 to"),
        ("*.Server.target_latency = 18446744073710", "1 to 4611686018427 ms"),
        ("*.Server.target_latency = 12.5", "whole number"),
        ("*.*.target_latency = 12.5", "whole number in Server"),
        ("*.Server.min_duration = 6e5", "write 600000"),
        ("*.Server.min_duration = 12.7", "whole number"),
        ("*.Server.min_duration = 010", "write 10"),
        ("*.Server.min_duration = 0x10", "whole number"),
        ("*.Server.min_duration = -1", "whole number"),
        ("*.Server.min_duration = 1e999", "whole number"),
        ("*.Server.min_duration = 18446744073709551616", "expected 0 to"),
        ("*.Server.min_duration = 99999999999999999999999", "whole number"),
        ("*.Server.max_async_queries = 2147483648", "expected 0 to 2147483647"),
        ("*.Server.coalesce_queries = 2", "expected 0 to 1"),
        ("*.*.sample_concatenate_permutation = 2", "expected 0 to 1"),
        ("*.*.mode = 4", "expected 0 to 3"),
        ("*.MultiStream.samples_per_query = 0", "expected 1 to"),
        ("*.Server.target_latency_percentile = 0.99", "in percent: 99, not 0.99"),
        ("*.Server.target_latency_percentile = 100", "expected 1 to 99.999 %"),
        ("*.Offline.target_latency = 5", "no effect in Offline"),
        ("*.Offline.target_latency_percentile = 90", "no effect in Offline"),
        ("*.Offline.max_duration = 5", "no effect in Offline"),
        ("*.SingleStream.target_qps = 5", "Server, Offline"),
        ("*.Offline.coalesce_queries = 1", "in Server"),
        ("*.*.qsl_rng_seed = 1", "built-in mlperf.conf"),
        ("*.*.test05 = 1", "built-in mlperf.conf"),
        ("*.*.accuracy_log_probability = 10", "built-in mlperf.conf"),
        ("*.*.accuracy_log_rng_seed = 1", "audit.config"),
        ("*.*.accuracy_log_sampling_target = 1", "audit.config"),
        ("*.Server.server_num_issue_query_threads = 1", "is unknown"),
        ("*.Server.ttft_latency = 5", "use_token_latencies is 1"),
        ("qwen3-vl-235b-a22b.Server.ttft_latency = 5", "use_token_latencies is 1"),
        ("*.*.token_latency_scaling_factor = 5", "infer_token_latencies is 1"),
        ("*.*.performance_issue_same_index = 5", "performance_issue_same is 1"),
        ("*.Server.target_qps\u00a0= 5", "U+00A0"),
        ("\ufeff*.Server.target_qps = 5", "U+FEFF"),
        ("\ufeff# comment", "U+FEFF"),
        ("*.Server.\u200btarget_qps = 5", "U+200B"),
        ("*.Server.target_qps = 5\x1c", "U+001C"),
        ("*.Server.target_qps = \ud800", "U+D800"),
        ("*.Server.target_qps = 5\0", "NUL"),
        ("# \0", "NUL"),
        ("*.Server.target_qps = 5\r*.Offline.target_qps = 5", "Unix line ends"),
        ("# old\r*.Offline.target_qps = 5", "Unix line ends"),
    ],
)
def test_what_loadgen_would_misread_is_refused_in_one_line(line: str, part: str) -> None:
    message = problem("# first\n" + line)

    assert message.startswith("user.conf:2: ")
    assert part in message
    assert len(message.splitlines()) == 1


def test_a_repeated_setting_names_both_lines() -> None:
    message = problem("*.Server.target_qps = 5\n\n*.Server.target_qps = 6\n")

    assert message.startswith("user.conf:3: '*.Server.target_qps'")
    assert "line 1" in message


def test_every_problem_has_its_line_and_the_first_comes_first() -> None:
    message = problem("*.Server.ttft_latency = 5\n*.Server.target_qps = x\n*.*.mode = 1\nfoo\n")

    assert [line[:12] for line in message.splitlines()] == [f"user.conf:{n}:" for n in (1, 2, 4)]


def test_a_file_full_of_problems_is_cut_short() -> None:
    lines = problem("x\n" * 1000).splitlines()

    assert len(lines) == 21
    assert lines[-1].startswith("user.conf: 980 more")


def test_a_line_that_can_never_win_names_the_lines_that_do() -> None:
    message = problem("resnet50.*.coalesce_queries = 0\n*.Server.coalesce_queries = 1\n")

    assert message.startswith("user.conf:1: resnet50.*.coalesce_queries has no effect")
    assert "line 2" in message


def test_a_switch_turned_off_makes_the_key_that_needs_it_dead() -> None:
    on = "llama2-70b.Server.ttft_latency = 5\n"

    assert len(parse(on, "user.conf", []).entries) == 1
    assert "use_token_latencies is 1" in problem(on + "llama2-70b.*.use_token_latencies = 0\n")


def test_lookup_goes_from_model_and_scenario_to_wildcards() -> None:
    conf = parse(
        "*.*.min_duration = 1\nresnet50.*.min_duration = 2\n*.Server.min_duration = 3\n"
        "resnet50.Server.min_duration = 4\n",
        "user.conf",
        [],
    )

    def found(model: str, scenario: str) -> float:
        return conf.effective(model, scenario)["min_duration"].value

    assert found("resnet50", "Server") == 4
    assert found("bert", "Server") == 3
    assert found("resnet50", "Offline") == 2
    assert found("bert", "Offline") == 1


def test_the_wildcard_model_with_the_scenario_beats_the_model_without_it() -> None:
    conf = parse("resnet50.*.min_duration = 2\n*.Server.min_duration = 3\n", "user.conf", [])

    assert conf.effective("resnet50", "Server")["min_duration"].value == 3


def test_effective_leaves_out_what_the_scenario_does_not_use() -> None:
    conf = parse("*.*.target_qps = 5\n*.*.max_duration = 9\n*.*.mode = 2\n", "user.conf", [])

    assert list(conf.effective("resnet50", "Offline")) == ["target_qps", "mode"]
    assert list(conf.effective("resnet50", "SingleStream")) == ["max_duration", "mode"]


def test_effective_leaves_out_what_a_switch_of_the_model_turns_off() -> None:
    text = (
        "*.*.use_token_latencies = 1\n*.Server.tpot_latency = 5\n"
        "yolo.Server.use_token_latencies = 0\n"
    )
    conf = parse(text, "user.conf", [])

    assert list(conf.effective("yolo", "Server")) == ["use_token_latencies"]
    assert list(conf.effective("bert", "Server")) == ["use_token_latencies", "tpot_latency"]


def test_effective_refuses_a_scenario_that_loadgen_has_not() -> None:
    with pytest.raises(ConfigError, match=r'Did you mean "Server"\?'):
        parse("", "user.conf", []).effective("resnet50", "server")


def test_a_key_is_a_problem_of_closed_only_in_the_scenario_that_it_bounds() -> None:
    conf = parse("*.*.target_latency = 12\n*.Server.target_qps = 5\n", "user.conf", [])

    assert len(conf.closed_problems("resnet50", "Server")) == 1
    assert conf.closed_problems("resnet50", "SingleStream") == []


@pytest.mark.parametrize(
    ("line", "model", "scenario", "part"),
    [
        ("*.*.min_duration = 599999", "resnet50", "Server", "at least 600000"),
        ("*.*.min_duration = 600000", "resnet50", "Server", ""),
        ("*.*.max_duration = 1000", "resnet50", "Server", "600000 ms"),
        ("*.*.max_duration = 0", "resnet50", "Server", ""),
        ("*.*.min_query_count = 24575", "resnet50", "Offline", "at least 24576"),
        ("*.*.min_query_count = 100", "resnet50", "Server", ""),
        ("*.*.min_query_count = 1524", "yolo", "Offline", "at least 1525"),
        ("*.*.min_query_count = 661", "yolo", "MultiStream", "at least 662"),
        ("*.*.min_query_count = 5", "mobilenet", "Offline", ""),
        ("*.*.performance_sample_count_override = 1023", "resnet50", "Server", "at least 1024"),
        ("*.*.performance_sample_count_override = 2048", "resnet50", "Server", ""),
        ("*.*.performance_sample_count_override = 0", "resnet50", "Server", ""),
        ("*.*.accuracy_sample_count_override = 10", "resnet50", "Server", "runs all samples"),
        ("*.*.accuracy_sample_count_override = 4395", "gpt-oss-120b", "Server", ""),
        ("*.*.performance_issue_same = 1", "resnet50", "Server", "only a compliance test"),
        ("*.*.performance_issue_same = 0", "resnet50", "Server", ""),
        ("*.*.sample_concatenate_permutation = 0", "3d-unet", "Offline", "at least 1"),
        ("*.*.sample_concatenate_permutation = 0", "resnet50", "Offline", ""),
        ("*.Server.target_latency = 16", "resnet50", "Server", "open-division only"),
        ("*.Server.target_latency = 16", "resnet50", "Offline", ""),
        ("*.Server.target_latency = 15", "resnet50", "Server", ""),
        ("*.Server.target_latency = 15", "retinanet", "Server", "open-division only"),
        ("*.*.target_latency_percentile = 99", "resnet50", "Server", ""),
        ("*.*.target_latency_percentile = 99", "resnet50", "SingleStream", "open-division only"),
        ("*.*.target_latency_percentile = 90.0", "resnet50", "SingleStream", ""),
        ("*.MultiStream.samples_per_query = 8", "resnet50", "MultiStream", ""),
        ("*.MultiStream.samples_per_query = 4", "resnet50", "MultiStream", "open-division only"),
        ("*.*.use_token_latencies = 0", "resnet50", "Server", ""),
        ("*.*.use_token_latencies = 1", "resnet50", "Server", "open-division only"),
        ("*.*.use_token_latencies = 1", "llama2-70b", "Server", ""),
        ("*.Server.target_qps = 15", "resnet50", "Server", ""),
    ],
)
def test_closed_problems(line: str, model: str, scenario: str, part: str) -> None:
    found = parse(line, "a/user.conf", ["mobilenet"]).closed_problems(model, scenario)

    assert len(found) == bool(part)
    assert all(text.startswith("a/user.conf:1: *.") and part in text for text in found)


def test_load_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "user.conf"
    path.write_text(GOOD, encoding="utf-8")

    conf = load(path, ["mobilenet"])

    assert (conf.source, len(conf.entries)) == (str(path), 5)


def test_load_explains_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "user.conf", [])


def test_load_refuses_a_folder_which_loadgen_would_read_as_empty(tmp_path: Path) -> None:
    assert lg.TestSettings().FromConfig(str(tmp_path), "resnet50", "Server", 2) == 0

    with pytest.raises(ConfigError, match="not a file"):
        load(tmp_path, [])


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000, "", "/dev/null/user.conf"])
def test_load_refuses_a_path_that_cannot_be_one(path: str) -> None:
    with pytest.raises(ConfigError, match=r"user\.conf") as caught:
        load(path, [])

    assert str(caught.value).isprintable()


def test_load_names_the_line_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "user.conf"
    path.write_bytes(b"# one\n# caf\xe9\n")

    with pytest.raises(ConfigError, match=r"user\.conf:2: byte 0xe9"):
        load(path, [])


def test_load_refuses_a_file_too_big_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"#" * (2**20 + 1))

    with pytest.raises(ConfigError, match="above 1 MiB"):
        load(path, [])


def test_render_prints_digits_only() -> None:
    text = render("resnet50", "SingleStream", {"target_latency": 0.00123, "min_duration": 6e5})

    assert text == (
        "resnet50.SingleStream.target_latency = 0.00123\n"
        "resnet50.SingleStream.min_duration = 600000\n"
    )


@pytest.mark.parametrize(
    ("model", "scenario", "key", "value"),
    [
        ("resnet50", "Server", "target_latency", 12.5),
        ("resnet50", "Server", "target_qps", float("nan")),
        ("resnet50", "Server", "target_qps", float("inf")),
        ("resnet50", "Server", "target_qps", -1),
        ("resnet50", "server", "target_qps", 1),
        ("resnet50", "Offline", "max_duration", 1),
        ("resnet50", "Server", "target_qps = 5\n*.Server.target_qps", 1),
        ("#resnet50", "Server", "target_qps", 1),
        ("res net", "Server", "target_qps", 1),
        ("", "Server", "target_qps", 1),
        ("resnet50", "Server", "qsl_rng_seed", 1),
    ],
)
def test_render_refuses_what_loadgen_would_not_read(
    model: str, scenario: str, key: str, value: float
) -> None:
    with pytest.raises(ConfigError, match="settings for '"):
        render(model, scenario, {key: value})


def test_the_models_are_those_of_the_installed_loadgen() -> None:
    models = {line.partition(" ")[0].rsplit(".", 2)[0] for line in line_of_mlperf_conf()}

    assert models - {"*"} == KNOWN_MODELS


def test_the_built_in_values_are_those_of_the_installed_loadgen() -> None:
    keys = {key for _, key in BUILT_IN}
    theirs = {line for line in line_of_mlperf_conf() if re.split(r"[. ]", line)[-3] in keys}
    ours = {
        f"{model}.{scenario}.{key} = {value}"
        for (scenario, key), by_model in BUILT_IN.items()
        for model, value in by_model.items()
    }

    assert ours == theirs


def test_every_row_names_an_attribute_of_test_settings() -> None:
    settings = lg.TestSettings()

    assert [row.name for row in KEYS if not hasattr(settings, row.attribute or row.name)] == []


def test_importing_it_imports_neither_numpy_nor_loadgen() -> None:
    code = "import sut.config.user_conf, sys; print({'numpy', 'mlperf_loadgen'} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"
