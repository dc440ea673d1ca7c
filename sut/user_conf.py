"""Check a LoadGen user.conf before LoadGen reads it, and write ones that it reads as meant.

LoadGen ignores a misspelt name without a word, reads `6e5` as 6 and `010` as 8, and drops the whole
file for a trailing comment (loadgen/test_settings_internal.cc, `TestSettings::FromConfig`). What
`parse` accepts, LoadGen reads in full and exactly. Knows nothing of runs: it imports no LoadGen.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from sut.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Kind: TypeAlias = Literal["integer", "fraction", "switch"]
Category: TypeAlias = Literal["meant", "allowed", "open_only", "ignored", "audit"]

SCENARIOS = ("SingleStream", "MultiStream", "Server", "Offline")
_WILDCARD = "*"
_NOT_OFFLINE = SCENARIOS[:3]  # Offline ends after its one query, before it looks at any maximum

# LoadGen keeps times as int64 nanoseconds and doubles the duration when it generates queries.
_MAX_MS = 2**63 // (2 * 10**6)
_MAX_COUNT = 2**32 - 1  # queries times samples a query then fits in LoadGen's uint64
_MAX_INT = 2**31 - 1  # max_async_queries passes through a C int
_NS_PER_MS = 10**6
# LoadGen makes 2 * min_duration / target_latency queries in advance; at 0 ns it never ends.
_MIN_LATENCY_MS = 0.001
# One query in 11 days, and one a nanosecond: beyond these the schedule overflows or stands still.
_MIN_QPS, _MAX_QPS = 1e-6, 1e9


@dataclass(frozen=True, slots=True)
class Key:
    """One key of user.conf as LoadGen's parser reads it. A name with two meanings has two rows.

    Attributes:
        name: as written in user.conf.
        kind: integer (strtoull), fraction (strtod), switch (0 or 1).
        category: `meant` for user.conf; `allowed`, within the checker's limits; `open_only` makes
            the result open-division only; `ignored` outside mlperf.conf; `audit` for audit.config.
        meaning: one phrase.
        attribute: the attribute of `TestSettings` that it sets; empty where it has the key's name.
        scenarios: where LoadGen makes use of it.
        unit: of the value in user.conf; empty for counts and switches.
        scale: attribute = value * scale.
        low: smallest value that LoadGen reads and runs as meant.
        high: largest such value.
        needs: LoadGen reads or uses this key only while that switch is 1.
    """

    name: str
    kind: Kind
    category: Category
    meaning: str
    attribute: str = ""
    scenarios: tuple[str, ...] = SCENARIOS
    unit: str = ""
    scale: float = 1
    low: float = 0
    high: float = _MAX_COUNT
    needs: str | None = None


_TOKENS, _INFER, _SAME = "use_token_latencies", "infer_token_latencies", "performance_issue_same"

# The shapes of rows: what is left out is said in the table.
_latency = partial(Key, "target_latency", unit="ms", scale=_NS_PER_MS, high=_MAX_MS)
_hint = partial(_latency, "fraction", "meant", "expected latency of a query", low=_MIN_LATENCY_MS)
_qps = partial(Key, "target_qps", "fraction", "meant", unit="1/s", low=_MIN_QPS, high=_MAX_QPS)
_percentile = partial(
    Key, "target_latency_percentile", "fraction", "open_only", "in percent: 99, not 0.99",
    unit="%", scale=0.01, low=1, high=99.999,
)  # fmt: skip
_token_bound = partial(
    Key, kind="integer", category="open_only", scenarios=("Server",), unit="ms", scale=_NS_PER_MS,
    low=1, high=_MAX_MS, needs=_TOKENS,
)  # fmt: skip
_server = partial(Key, category="allowed", scenarios=("Server",))
_duration = partial(Key, kind="integer", category="allowed", unit="ms", high=_MAX_MS)
_count = partial(Key, kind="integer", category="allowed")
_switch = partial(Key, kind="switch", category="allowed", high=1)
_seed = partial(Key, kind="integer", category="ignored", meaning="fixed by the rules of each round")

KEYS: tuple[Key, ...] = (
    _hint(attribute="single_stream_expected_latency_ns", scenarios=("SingleStream",)),
    _hint(attribute="multi_stream_expected_latency_ns", scenarios=("MultiStream",)),
    _latency("integer", "open_only", "the bound", "server_target_latency_ns", ("Server",), low=1),
    _qps("the Poisson rate", "server_target_qps", ("Server",)),
    _qps("expected rate; sets the samples of the query", "offline_expected_qps", ("Offline",)),
    _percentile(attribute="single_stream_target_latency_percentile", scenarios=("SingleStream",)),
    _percentile(attribute="multi_stream_target_latency_percentile", scenarios=("MultiStream",)),
    _percentile(attribute="server_target_latency_percentile", scenarios=("Server",)),
    _duration("min_duration", meaning="the run lasts so long", attribute="min_duration_ms"),
    _duration("max_duration", meaning="the run ends early; 0: no limit",
              attribute="max_duration_ms", scenarios=_NOT_OFFLINE),
    _count("min_query_count", meaning="at least so many queries; in Offline, samples", low=1),
    _count("max_query_count", meaning="the run ends early; 0: no limit", scenarios=_NOT_OFFLINE),
    Key("samples_per_query", "integer", "open_only", "samples in a query",
        "multi_stream_samples_per_query", ("MultiStream",), low=1),
    _server("coalesce_queries", "switch", meaning="overdue queries are issued together",
            attribute="server_coalesce_queries", high=1),
    _server("max_async_queries", "integer", meaning="outstanding queries that end the run; 0: none",
            attribute="server_max_async_queries", high=_MAX_INT),
    _count("performance_sample_count_override", meaning="samples in memory; 0: the library's own"),
    _count("accuracy_sample_count_override", meaning="samples of accuracy mode; 0: all"),
    _switch("sample_concatenate_permutation", meaning="every sample is issued equally often"),
    _count("mode", meaning="0 submission, 1 accuracy, 2 performance, 3 find the peak", high=3),
    _switch("performance_issue_unique", meaning="every sample is issued once"),
    _switch(_SAME, meaning="one sample is issued again and again"),
    _count("performance_issue_same_index", meaning="the sample that is repeated", needs=_SAME),
    _switch("print_timestamps", meaning="start and stop are printed"),
    _switch(_TOKENS, category="open_only", meaning="latency is that of tokens"),
    _token_bound("ttft_latency", meaning="bound of the first token"),
    _token_bound("tpot_latency", meaning="bound of each further token"),
    _switch(_INFER, category="open_only", meaning="token rates follow from the sample rate"),
    _count("token_latency_scaling_factor", category="open_only", meaning="tokens in a sample",
           low=1, needs=_INFER),
    _seed("qsl_rng_seed"),
    _seed("sample_index_rng_seed"),
    _seed("schedule_rng_seed"),
    Key("accuracy_log_probability", "fraction", "ignored", "responses that are logged", unit="%",
        scale=0.01, high=100),
    _switch("test05", category="ignored", meaning="a retired compliance test"),
    _seed("test05_qsl_rng_seed"),
    _seed("test05_sample_index_rng_seed"),
    _seed("test05_schedule_rng_seed"),
    _count("accuracy_log_rng_seed", category="audit", meaning="picks the logged responses"),
    _count("accuracy_log_sampling_target", category="audit", meaning="responses that are logged"),
)  # fmt: skip
_SETTABLE = frozenset(key.name for key in KEYS if key.category not in {"ignored", "audit"})
_ROWS = {key.name: tuple(row for row in KEYS if row.name == key.name) for key in KEYS}

_TOKEN_MODELS = (
    "deepseek-r1", "deepseek-r1-interactive", "gpt-oss-120b", "gpt-oss-120b-interactive",
    "llama2-70b", "llama2-70b-interactive", "llama3_1-405b", "llama3_1-405b-interactive",
    "llama3_1-8b", "llama3_1-8b-edge", "llama3_1-8b-interactive", "mixtral-8x7b", "whisper",
)  # fmt: skip
_EQUAL_ISSUE_MODELS = (*_TOKEN_MODELS, "3d-unet", "gptj", "qwen3-vl-235b-a22b", "rgat")

# What the mlperf.conf inside mlcommons-loadgen 6.0.17 sets and this module needs:
# (scenario, key) to value by model.
BUILT_IN: Mapping[tuple[str, str], Mapping[str, int]] = {
    ("*", "performance_sample_count_override"): {
        "resnet50": 1024, "ssd-mobilenet": 256, "retinanet": 64, "bert": 10833, "dlrm": 204800,
        "dlrm-v2": 204800, "rnnt": 2513, "gptj": 13368, "mixtral-8x7b": 15000,
        "llama2-70b": 24576, "llama2-70b-interactive": 24576, "llama3_1-405b": 8313,
        "llama3_1-405b-interactive": 8313, "llama3_1-8b": 13368, "llama3_1-8b-edge": 5000,
        "llama3_1-8b-interactive": 13368, "stable-diffusion-xl": 5000, "wan-2.2-t2v-a14b": 248,
        "rgat": 788379, "pointpainting": 1024, "deepseek-r1": 4388,
        "deepseek-r1-interactive": 4388, "whisper": 1633, "qwen3-vl-235b-a22b": 48289, "yolo": 64,
        "3d-unet": 0, "gpt-oss-120b": 6396, "gpt-oss-120b-interactive": 6396,
    },
    ("*", "accuracy_sample_count_override"): {
        "gpt-oss-120b": 4395, "gpt-oss-120b-interactive": 4395,
    },
    ("Offline", "min_query_count"): {
        "resnet50": 24576, "retinanet": 24576, "dlrm-v2": 24576, "bert": 10833, "gptj": 13368,
        "rnnt": 2513, "3d-unet": 43, "stable-diffusion-xl": 5000, "wan-2.2-t2v-a14b": 248,
        "llama2-70b": 24576, "llama3_1-405b": 8313, "llama3_1-8b": 13368,
        "llama3_1-8b-edge": 5000, "mixtral-8x7b": 15000, "rgat": 788379, "deepseek-r1": 4388,
        "whisper": 1633, "qwen3-vl-235b-a22b": 48289,
    },
    ("MultiStream", "min_query_count"): {"*": 662},
    **{(scenario, "min_duration"): {"*": 600_000} for scenario in SCENARIOS},
    ("*", "sample_concatenate_permutation"): dict.fromkeys(_EQUAL_ISSUE_MODELS, 1),
    ("*", _TOKENS): dict.fromkeys(_TOKEN_MODELS, 1) | {"qwen3-vl-235b-a22b": 0},
    ("*", _INFER): {"gptj": 1},
}  # fmt: skip
# Every model of that mlperf.conf; of dlrm-v3 it sets the Server bound only.
KNOWN_MODELS = frozenset(name for table in BUILT_IN.values() for name in table) - {"*"} | {
    "dlrm-v3"
}
# Offline samples that only the submission checker asks for (OFFLINE_MIN_SPQ_SINCE_V4).
_CHECKER_OFFLINE_SAMPLES = {
    "yolo": 1525, "pointpainting": 6636, "dlrm-v3": 349823, "gpt-oss-120b": 6396,
    "llama2-70b-interactive": 24576,
}  # fmt: skip

# In these, a value below the built-in one is not for closed; a 0 asks for the library's own count.
_CLOSED_MINIMUM = frozenset(
    {
        "min_duration",
        "min_query_count",
        "performance_sample_count_override",
        "sample_concatenate_permutation",
    }
)
_LIBRARY_OWN = frozenset({"performance_sample_count_override", "accuracy_sample_count_override"})
_CLOSED_OFF = frozenset({"performance_issue_unique", "performance_issue_same"})

_MAX_BYTES = 2**20
_MAX_PROBLEMS = 20  # a binary file has thousands; the first ones tell enough
_MAX_QUOTE = 60
_BLANKS = "\t\v\f\r "  # what C++ `>>` skips; str.split() would skip much more
_TOKEN = re.compile(rf"[^{_BLANKS}]+")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")
_FRACTION = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MODEL = re.compile(r"\*|[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_FORM = "`model.scenario.key = value`, for example `*.Server.target_qps = 100`"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of user.conf; `value` is in the unit of the file (times in ms), `line` from 1."""

    model: str
    scenario: str
    key: str
    value: int | float
    line: int

    @property
    def name(self) -> str:
        """`model.scenario.key`, as LoadGen's parser stores it."""
        return f"{self.model}.{self.scenario}.{self.key}"


@dataclass(frozen=True, slots=True)
class UserConf:
    """A checked user.conf: every entry is read by LoadGen for some model and scenario."""

    source: str
    entries: tuple[Entry, ...]

    def effective(self, model: str, scenario: str) -> dict[str, Entry]:
        """Return by key what LoadGen reads for `model` in `scenario`, in the order of the file.

        The first of model.scenario.key, *.scenario.key, model.*.key, *.*.key wins: a wildcard
        model with the scenario beats the model with a wildcard scenario.

        Raises:
            ConfigError: LoadGen has no such scenario.
        """
        if scenario not in SCENARIOS:
            raise ConfigError(_unknown("scenario", scenario, SCENARIOS))
        found = self.lookup(model, scenario)
        return {key: entry for key, entry in found.items() if _is_used(entry, found, model)}

    def open_only(self, model: str, scenario: str) -> list[Entry]:
        """Return the entries that make a result of `model` in `scenario` open-division only."""
        return [
            entry
            for entry in self.effective(model, scenario).values()
            if _rows(entry.key, scenario)[0].category == "open_only"
        ]

    def closed_problems(self, model: str, scenario: str) -> list[str]:
        """Explain what a closed submission of `model` in `scenario` may not have; one line each."""
        return [
            f"{self.source}:{entry.line}: {entry.name} = {_plain(entry.value)}: {problem}"
            for entry in self.effective(model, scenario).values()
            if (problem := _closed_problem(entry, model, scenario))
        ]

    def lookup(self, model: str, scenario: str) -> dict[str, Entry]:
        """Return the entry that LoadGen finds for each key; `effective` is those that it uses."""
        by_name = {entry.name: entry for entry in self.entries}
        places = ((model, scenario), ("*", scenario), (model, "*"), ("*", "*"))
        found = {}
        for key in dict.fromkeys(entry.key for entry in self.entries if _rows(entry.key, scenario)):
            matches = (by_name.get(f"{m}.{s}.{key}") for m, s in places)
            entry = next((match for match in matches if match), None)
            if entry:
                found[key] = entry
        return found


def load(path: Path | str, models: Collection[str]) -> UserConf:
    """Read and check a user.conf; see `parse`.

    Raises:
        ConfigError: the file is missing, not a file, not readable, not UTF-8, or wrong.
    """
    source = _source(str(path))
    return parse(_read(Path(path), source), source, models)


def parse(text: str, source: str, models: Collection[str]) -> UserConf:
    """Check the text of a user.conf.

    Args:
        text: the whole file.
        source: its path, for messages.
        models: model names allowed beside `*` and LoadGen's own (KNOWN_MODELS).

    Raises:
        ConfigError: one line a problem: `path:LINE: what came; what was expected; what to do`.
    """
    entries: dict[str, Entry] = {}
    first_line: dict[str, int] = {}
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            setting = _split(line.removesuffix("\r"))
            if setting is None:
                continue
            name, value = setting
            before = first_line.setdefault(name, number)
            if before != number:
                raise ConfigError(
                    f"{_quote(name)} is set again after line {before}; LoadGen keeps the last;"
                    f" remove line {before} or line {number}"
                )
            entries[name] = _entry(name, value, number, models)
        except ConfigError as error:
            problems.append((number, str(error)))
    conf = UserConf(source, tuple(entries.values()))
    problems += _dead(conf)
    if problems:
        raise ConfigError("\n".join(_listed(source, sorted(problems))))
    return conf


def render(model: str, scenario: str, values: Mapping[str, int | float]) -> str:
    """Return the text of a user.conf that sets `values`, by key and in user.conf's units.

    LoadGen reads back exactly these values for `model` (`*` for all) in `scenario`.

    Raises:
        ConfigError: a name or value that `parse` refuses.
    """
    source = f"settings for {_quote(model)} in {_quote(scenario)}"
    if not _MODEL.fullmatch(model):
        raise ConfigError(f"{source}: a model's name has letters, digits and `_ . + -`; rename it.")
    for name in values:
        if name not in _ROWS:
            raise ConfigError(f"{source}: {_unknown('key', name, _ROWS)}")
    lines = [f"{model}.{scenario}.{name} = {_plain(value)}\n" for name, value in values.items()]
    text = "".join(lines)
    parse(text, source, (model,))
    return text


def _read(path: Path, source: str) -> str:
    try:
        # LoadGen opens a folder without an error and reads nothing from it.
        if path.exists() and not path.is_file():
            raise ConfigError(f"{source}: not a file; expected a LoadGen user.conf; name the file.")
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{source}: no such file; expected a LoadGen user.conf; check the path."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{source}: cannot be read ({reason}); expected a LoadGen user.conf; check its path and"
            " permissions."
        ) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"{source}: above 1 MiB; expected a LoadGen user.conf; check the path.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{source}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8; expected plain text;"
            " save the file as UTF-8 without a byte-order mark."
        ) from error


def _split(line: str) -> tuple[str, str] | None:
    """Return the name and the value of a line, or None for a blank line or a comment."""
    if "\0" in line:
        raise ConfigError("a NUL character; expected plain text; save the file as UTF-8")
    if "\r" in line:
        raise ConfigError("a carriage return inside the line; expected one setting a line;"
                          " save the file with Unix line ends")  # fmt: skip
    tokens = _TOKEN.findall(line)
    if not tokens or _is_comment(tokens):
        return None
    for character in line:
        if not character.isprintable() and character not in _BLANKS:
            title = unicodedata.name(character, "a control character")
            raise ConfigError(
                f"U+{ord(character):04X} ({title}) in the line; LoadGen takes it for a part of the"
                " name or value; replace it with a space or remove it"
            )
    if tokens[1:2] == ["="] and len(tokens) == len(("name", "=", "value")):
        return tokens[0], tokens[2]
    raise ConfigError(_syntax_problem(tokens))


def _is_comment(tokens: list[str]) -> bool:
    """Tell a comment that LoadGen skips, too.

    It knows `# text`, and reads `#text` as a name, which is harmless alone or as a whole setting
    and otherwise makes it refuse the file.
    """
    if not tokens[0].startswith("#"):
        return False
    whole = tokens[1:2] == ["="] and all(_FRACTION.fullmatch(token) for token in tokens[2:])
    if tokens[0] == "#" or len(tokens) == 1 or whole:
        return True
    raise ConfigError(
        f"{_quote(' '.join(tokens))}: LoadGen can refuse the whole file for it;"
        " a comment needs a space after its #; write `# ...`"
    )


def _syntax_problem(tokens: list[str]) -> str:
    line = _quote(" ".join(tokens))
    if tokens[1:2] == ["="]:
        if tokens[2:3] in ([], ["#"]):
            return f"{line} has no value; expected {_FORM}; add the value or remove the line"
        if tokens[3].startswith("#"):
            return (
                f"{line}: a comment after the value, for which LoadGen refuses the whole file;"
                " expected the value last; put the comment on a line of its own"
            )
        return (
            f"{line} has {len(tokens) - 2} values, of which LoadGen takes the last;"
            f" expected {_FORM}; keep one value"
        )
    if any("=" in token and token != "=" for token in tokens):
        return (
            f"{line}: no space on both sides of =, so LoadGen ignores or refuses it;"
            f" expected {_FORM}; add the spaces"
        )
    return f"{line} is not a setting; expected {_FORM}; correct it, or start the line with `# `"


def _entry(name: str, value: str, line: int, models: Collection[str]) -> Entry:
    parts = name.rsplit(".", 2)  # a model's name may have dots in it: wan-2.2-t2v-a14b
    if len(parts) != len(("model", "scenario", "key")):
        raise ConfigError(f"{_quote(name)} is not model.scenario.key; expected {_FORM};"
                          " LoadGen ignores the line; write all three")  # fmt: skip
    model, scenario, key = parts
    if model != _WILDCARD and model not in KNOWN_MODELS and model not in models:
        known = sorted({_WILDCARD, *KNOWN_MODELS, *models})
        raise ConfigError(_unknown("model", model, known))
    if scenario != _WILDCARD and scenario not in SCENARIOS:
        raise ConfigError(_unknown("scenario", scenario, (_WILDCARD, *SCENARIOS)))
    return Entry(model, scenario, key, _value(key, value, _settable(key, scenario)), line)


def _settable(name: str, scenario: str) -> tuple[Key, ...]:
    """Return the rows that a line of user.conf sets, or say why it sets none."""
    rows = _rows(name)
    if not rows:
        raise ConfigError(_unknown("key", name, _SETTABLE))
    if rows[0].category == "ignored":
        raise ConfigError(f"{name} in a user.conf; LoadGen reads it only from its built-in"
                          " mlperf.conf and ignores the line; remove it")  # fmt: skip
    if rows[0].category == "audit":
        raise ConfigError(f"{name} in a user.conf; it belongs to the audit.config of a compliance"
                          " test; remove it, and run the test with `sut audit`")  # fmt: skip
    here = _rows(name, scenario)
    if not here:
        places = ", ".join(place for row in rows for place in row.scenarios)
        raise ConfigError(f"{name} has no effect in {scenario}; LoadGen uses it in {places};"
                          " remove the line or correct its scenario")  # fmt: skip
    return here


def _value(name: str, text: str, rows: tuple[Key, ...]) -> int | float:
    """Return the value if every scenario of the line reads it the same way, and as meant."""
    whole = [row for row in rows if row.kind != "fraction"]
    if whole and not _INTEGER.fullmatch(text):
        where = f" in {whole[0].scenarios[0]}" if len(whole) < len(rows) else ""
        raise ConfigError(
            f"{name} is {_quote(text)}; expected a whole number{where}, in digits without a leading"
            f" 0, sign, point or exponent (LoadGen reads 6e5 as 6, 010 as 8); {_repair(text)}"
        )
    if not _FRACTION.fullmatch(text):
        raise ConfigError(
            f"{name} is {_quote(text)}; expected a decimal number without a sign;"
            " write it in digits, such as 12.5"
        )
    value = int(text) if _INTEGER.fullmatch(text) else float(text)
    for row in rows:
        if not row.low <= value <= row.high:
            unit = f" {row.unit}" if row.unit else ""
            raise ConfigError(
                f"{name} is {_quote(text)}{unit}; expected {_plain(row.low)} to {_plain(row.high)}"
                f"{unit} ({row.meaning}); write a value in that range"
            )
    return value


def _repair(text: str) -> str:
    """Propose the whole number that the user meant, if that is clear."""
    if _FRACTION.fullmatch(text) and float(text) <= _MAX_MS and float(text).is_integer():
        return f"write {int(float(text))}"
    return "write a whole number"


def _dead(conf: UserConf) -> Iterator[tuple[int, str]]:
    """Find the entries that LoadGen never uses, whatever it runs."""
    for model in dict.fromkeys(entry.model for entry in conf.entries):
        found = {scenario: conf.lookup(model, scenario) for scenario in SCENARIOS}
        for entry in conf.entries:
            if entry.model == model and (reason := _why_dead(entry, found)):
                yield entry.line, f"{entry.name} has no effect; {reason}"


def _why_dead(entry: Entry, found: Mapping[str, Mapping[str, Entry]]) -> str:
    """Say why nothing uses `entry`; empty if its model does in some scenario. See `lookup`."""
    own = [matches for matches in found.values() if matches.get(entry.key) == entry]
    if not own:
        winners = {matches[entry.key].line for matches in found.values() if entry.key in matches}
        return (
            f"LoadGen reads line {', '.join(map(str, sorted(winners)))} instead (its order is"
            " model.scenario, *.scenario, model.*, *.*); name the scenario or remove the line"
        )
    if any(_is_used(entry, matches, entry.model) for matches in own):
        return ""
    switch = _ROWS[entry.key][0].needs
    return (
        f"LoadGen uses it only where {switch} is 1; add"
        f" `{entry.model}.{entry.scenario}.{switch} = 1` or remove the line"
    )


def _is_used(entry: Entry, found: Mapping[str, Entry], model: str) -> bool:
    needs = _ROWS[entry.key][0].needs
    if needs is None:
        return True
    switch = found.get(needs)
    return (switch.value if switch else _built_in(model, "*", needs)) == 1


def _closed_problem(entry: Entry, model: str, scenario: str) -> str:
    """Return what is wrong with `entry` in closed; empty if nothing is."""
    key, value = entry.key, entry.value
    minimum = _built_in(model, scenario, key)
    if (scenario, key) == ("Offline", "min_query_count"):
        minimum = minimum or _CHECKER_OFFLINE_SAMPLES.get(model)
    shortest = _built_in(model, scenario, "min_duration") or 0
    own_count = key in _LIBRARY_OWN and value == 0
    rules = (
        (_rows(key, scenario)[0].category == "open_only", "it makes the result open-division only"),
        (
            key in _CLOSED_MINIMUM and not own_count and value < (minimum or 0),
            f"closed asks for at least {minimum}",
        ),
        (key in _CLOSED_OFF and value, "only a compliance test may set it"),
        (
            key == "accuracy_sample_count_override" and not own_count and value != minimum,
            f"accuracy in closed runs {minimum or 'all'} samples",
        ),
        (
            key == "max_duration" and 0 < value < shortest,
            f"the run would end before the {shortest} ms of closed",
        ),
    )
    return next((f"{text}; remove the line." for broken, text in rules if broken), "")


def _built_in(model: str, scenario: str, key: str) -> int | None:
    """Look up what LoadGen's mlperf.conf sets; None where BUILT_IN has nothing."""
    for place in dict.fromkeys((scenario, "*")):
        by_model = BUILT_IN.get((place, key), {})
        if model in by_model or "*" in by_model:
            return by_model.get(model, by_model.get("*"))
    return None


def _rows(name: str, scenario: str = _WILDCARD) -> tuple[Key, ...]:
    """Return the rows of a key, all or those of one scenario."""
    return tuple(row for row in _ROWS.get(name, ()) if scenario in (_WILDCARD, *row.scenarios))


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    """Say that LoadGen ignores `name`, and what it may have meant."""
    guess = nearest(name[:_MAX_QUOTE], known)
    if guess:
        return f"{what} {_quote(name)} is unknown, and LoadGen ignores it in silence.{guess}"
    return (
        f"{what} {_quote(name)} is unknown, and LoadGen ignores it in silence;"
        f" expected {', '.join(sorted(known))}; correct it or remove the line"
    )


def _listed(source: str, problems: list[tuple[int, str]]) -> Iterator[str]:
    for line, problem in problems[:_MAX_PROBLEMS]:
        yield f"{source}:{line}: {problem}" + ("" if problem.endswith("?") else ".")
    if len(problems) > _MAX_PROBLEMS:
        yield f"{source}: {len(problems) - _MAX_PROBLEMS} more problems; correct these first."


def _plain(value: float) -> str:
    """Print a number in digits: no exponent, and as many digits as it takes to read it back."""
    if isinstance(value, int):
        return str(int(value))  # a bool prints as a word otherwise
    number = float(value)
    return str(int(number)) if number.is_integer() else format(Decimal(repr(number)), "f")


def _quote(text: str) -> str:
    """Quote text of the file for a message: one line, printable, not too long."""
    return repr(text if len(text) <= _MAX_QUOTE else text[:_MAX_QUOTE] + "...")


def _source(path: str) -> str:
    return path if path.isprintable() else repr(path)
