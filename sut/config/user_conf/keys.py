"""What a user.conf may hold: every key with its type, unit, range and class, and the models.

Data only, read off LoadGen 6.0.17 (loadgen/test_settings_internal.cc and the mlperf.conf in its
wheel); the other modules of this package act on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["integer", "fraction", "switch"]
Category: TypeAlias = Literal["meant", "allowed", "open_only", "ignored", "audit"]

SCENARIOS = ("SingleStream", "MultiStream", "Server", "Offline")
WILDCARD = "*"
_NOT_OFFLINE = SCENARIOS[:3]  # Offline ends after its one query, before it looks at any maximum

# LoadGen keeps times as int64 nanoseconds and doubles the duration when it generates queries.
MAX_MS = 2**63 // (2 * 10**6)
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

# Templates of rows; the table adds the rest.
_latency = partial(Key, "target_latency", unit="ms", scale=_NS_PER_MS, high=MAX_MS)
_hint = partial(_latency, "fraction", "meant", "expected latency of a query", low=_MIN_LATENCY_MS)
_qps = partial(Key, "target_qps", "fraction", "meant", unit="1/s", low=_MIN_QPS, high=_MAX_QPS)
_percentile = partial(
    Key, "target_latency_percentile", "fraction", "open_only", "in percent: 99, not 0.99",
    unit="%", scale=0.01, low=1, high=99.999,
)  # fmt: skip
_token_bound = partial(
    Key, kind="integer", category="open_only", scenarios=("Server",), unit="ms", scale=_NS_PER_MS,
    low=1, high=MAX_MS, needs=_TOKENS,
)  # fmt: skip
_server = partial(Key, category="allowed", scenarios=("Server",))
_duration = partial(Key, kind="integer", category="allowed", unit="ms", high=MAX_MS)
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
    _duration("min_duration", meaning="shortest run", attribute="min_duration_ms"),
    _duration("max_duration", meaning="the run ends early; 0: no limit",
              attribute="max_duration_ms", scenarios=_NOT_OFFLINE),
    _count("min_query_count", meaning="least number of queries; in Offline, of samples", low=1),
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
SETTABLE = frozenset(key.name for key in KEYS if key.category not in {"ignored", "audit"})
ROWS = {key.name: tuple(row for row in KEYS if row.name == key.name) for key in KEYS}

_TOKEN_MODELS = (
    "deepseek-r1", "deepseek-r1-interactive", "gpt-oss-120b", "gpt-oss-120b-interactive",
    "llama2-70b", "llama2-70b-interactive", "llama3_1-405b", "llama3_1-405b-interactive",
    "llama3_1-8b", "llama3_1-8b-edge", "llama3_1-8b-interactive", "mixtral-8x7b", "whisper",
)  # fmt: skip
_TOKEN_BOUNDS = tuple(m for m in _TOKEN_MODELS if m not in {"llama3_1-8b-edge", "whisper"})
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
    ("*", "token_latency_scaling_factor"): {"gptj": 69},
    ("SingleStream", "target_latency"): {"*": 10},
    ("MultiStream", "target_latency"): {"*": 80, "retinanet": 528},
    # Bounds in ms. Of a model with bounds of tokens the bound itself is 0.
    ("Server", "target_latency"): {"*": 10} | dict.fromkeys(_TOKEN_BOUNDS, 0) | {
        "resnet50": 15, "retinanet": 100, "bert": 130, "dlrm": 60, "dlrm-v2": 60, "dlrm-v3": 80,
        "gptj": 20_000, "stable-diffusion-xl": 20_000, "qwen3-vl-235b-a22b": 12_000, "rnnt": 1000,
    },
    ("Server", "ttft_latency"): {
        "deepseek-r1": 2000, "deepseek-r1-interactive": 1500, "gpt-oss-120b": 3000,
        "gpt-oss-120b-interactive": 2000, "llama2-70b": 2000, "llama2-70b-interactive": 450,
        "llama3_1-405b": 6000, "llama3_1-405b-interactive": 4500, "llama3_1-8b": 2000,
        "llama3_1-8b-interactive": 500, "mixtral-8x7b": 2000,
    },
    ("Server", "tpot_latency"): {
        "deepseek-r1": 80, "deepseek-r1-interactive": 15, "gpt-oss-120b": 80,
        "gpt-oss-120b-interactive": 15, "llama2-70b": 200, "llama2-70b-interactive": 40,
        "llama3_1-405b": 175, "llama3_1-405b-interactive": 80, "llama3_1-8b": 100,
        "llama3_1-8b-interactive": 30,
        "mixtral-8x7b": 200,
    },
    ("SingleStream", "target_latency_percentile"): {"*": 90},
    ("Offline", "target_latency_percentile"): {"*": 90},
    ("MultiStream", "target_latency_percentile"): {"*": 99},
    ("Server", "target_latency_percentile"): {"*": 99},
    ("MultiStream", "samples_per_query"): {"*": 8},
}  # fmt: skip
# Every model of that mlperf.conf; of dlrm-v3 it sets the Server bound only.
KNOWN_MODELS = frozenset(name for table in BUILT_IN.values() for name in table) - {"*"} | {
    "dlrm-v3"
}
# Offline samples that only the submission checker asks for (OFFLINE_MIN_SPQ_SINCE_V4).
CHECKER_OFFLINE_SAMPLES = {
    "yolo": 1525, "pointpainting": 6636, "dlrm-v3": 349823, "gpt-oss-120b": 6396,
    "llama2-70b-interactive": 24576,
}  # fmt: skip

# In these, a value below the built-in one is not for closed; a 0 asks for the library's own count.
CLOSED_MINIMUM = frozenset(
    {
        "min_duration",
        "min_query_count",
        "performance_sample_count_override",
        "sample_concatenate_permutation",
    }
)
LIBRARY_OWN = frozenset({"performance_sample_count_override", "accuracy_sample_count_override"})
CLOSED_OFF = frozenset({"performance_issue_unique", "performance_issue_same"})


# Names that people know from other files and older LoadGens, and what LoadGen calls them today.
TODAY = {
    "performance_sample_count": "performance_sample_count_override",
    "accuracy_sample_count": "accuracy_sample_count_override",
    "multi_stream_samples_per_query": "samples_per_query",
    "target_duration": "min_duration",
    "min_duration_ms": "min_duration",
    "max_duration_ms": "max_duration",
    "server_target_qps": "target_qps",
    "offline_expected_qps": "target_qps",
    "server_coalesce_queries": "coalesce_queries",
    "server_max_async_queries": "max_async_queries",
    "single_stream_target_latency_percentile": "target_latency_percentile",
    "multi_stream_target_latency_percentile": "target_latency_percentile",
    "server_target_latency_percentile": "target_latency_percentile",
}


def built_in(model: str, scenario: str, key: str) -> int | None:
    """Look up what LoadGen's mlperf.conf sets; None where BUILT_IN has nothing."""
    for place in dict.fromkeys((scenario, "*")):
        by_model = BUILT_IN.get((place, key), {})
        if model in by_model or "*" in by_model:
            return by_model.get(model, by_model.get("*"))
    return None


def rows_of(name: str, scenario: str = WILDCARD) -> tuple[Key, ...]:
    """Return the rows of a key, all or those of one scenario."""
    return tuple(row for row in ROWS.get(name, ()) if scenario in (WILDCARD, *row.scenarios))
