"""Types of the LoadGen wheel (mlcommons-loadgen 6.0.17), which ships none.

Left out on purpose: VectorQuerySample and VectorQuerySampleResponse. Any use of them ends in a
RecursionError; a plain list does their work. Handles are raw pointers: destroy each one once, with
the function of its own kind, after StartTest has returned.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias, final

_IssueQuery: TypeAlias = Callable[[list[QuerySample]], None]
_IssueQueryFast: TypeAlias = Callable[[list[int], list[int]], None]  # response ids, sample indices
_FlushQueries: TypeAlias = Callable[[], None]
_Samples: TypeAlias = Callable[[list[int]], None]  # sample indices
_Response: TypeAlias = Callable[[QuerySampleResponse], None]

def ConstructSUT(issue_query: _IssueQuery, flush_queries: _FlushQueries, /) -> int: ...
def ConstructFastSUT(issue_query: _IssueQueryFast, flush_queries: _FlushQueries, /) -> int: ...
def ConstructQDL(
    issue_query: _IssueQuery, flush_queries: _FlushQueries, name: Callable[[], str], /
) -> int: ...
def ConstructQSL(
    total_sample_count: int,
    performance_sample_count: int,
    load_samples_to_ram: _Samples,
    unload_samples_from_ram: _Samples,
    /,
) -> int: ...
def DestroySUT(sut: int, /) -> None: ...
def DestroyFastSUT(sut: int, /) -> None: ...
def DestroyQDL(sut: int, /) -> None: ...
def DestroyQSL(qsl: int, /) -> None: ...
def StartTest(
    sut: int, qsl: int, test_settings: TestSettings, audit_config_filename: str = "audit.config"
) -> None: ...
def StartTestWithLogSettings(
    sut: int,
    qsl: int,
    test_settings: TestSettings,
    log_settings: LogSettings,
    audit_config_filename: str = "audit.config",
) -> None: ...
def QuerySamplesComplete(
    responses: Sequence[QuerySampleResponse], response_cb: _Response | None = None
) -> None: ...
def FirstTokenComplete(
    responses: Sequence[QuerySampleResponse], response_cb: _Response | None = None
) -> None: ...

class QuerySample:
    id: int
    index: int
    def __init__(self, id: int = ..., index: int = ..., /) -> None: ...

class QuerySampleResponse:
    id: int
    data: int  # an address; the memory must stay until QuerySamplesComplete has returned
    size: int  # bytes
    n_tokens: int
    def __init__(
        self, id: int = ..., data: int = ..., size: int = ..., n_tokens: int = ..., /
    ) -> None: ...

@final
class TestScenario:
    SingleStream: ClassVar[TestScenario]
    MultiStream: ClassVar[TestScenario]
    Server: ClassVar[TestScenario]
    Offline: ClassVar[TestScenario]
    __members__: ClassVar[dict[str, TestScenario]]
    def __init__(self, value: int) -> None: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __hash__(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...

@final
class TestMode:
    SubmissionRun: ClassVar[TestMode]
    AccuracyOnly: ClassVar[TestMode]
    PerformanceOnly: ClassVar[TestMode]
    FindPeakPerformance: ClassVar[TestMode]
    __members__: ClassVar[dict[str, TestMode]]
    def __init__(self, value: int) -> None: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __hash__(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...

@final
class LoggingMode:
    AsyncPoll: ClassVar[LoggingMode]
    EndOfTestOnly: ClassVar[LoggingMode]
    Synchronous: ClassVar[LoggingMode]
    __members__: ClassVar[dict[str, LoggingMode]]
    def __init__(self, value: int) -> None: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __hash__(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...

class LogOutputSettings:
    outdir: str  # must exist: otherwise StartTest returns at once and the process aborts later
    prefix: str
    suffix: str
    prefix_with_datetime: bool
    copy_detail_to_stdout: bool
    copy_summary_to_stdout: bool

class LogSettings:
    log_output: LogOutputSettings
    log_mode: LoggingMode
    log_mode_async_poll_interval_ms: int
    enable_trace: bool

class TestSettings:
    scenario: TestScenario
    mode: TestMode
    single_stream_expected_latency_ns: float
    single_stream_target_latency_percentile: float
    multi_stream_expected_latency_ns: float
    multi_stream_target_latency_percentile: float
    multi_stream_samples_per_query: int
    server_target_qps: float
    server_target_latency_ns: int
    server_target_latency_percentile: float
    server_coalesce_queries: bool
    server_find_peak_qps_decimals_of_precision: int
    server_find_peak_qps_boundary_step_size: float
    server_max_async_queries: int
    server_num_issue_query_threads: int  # leave 0: any other value hangs, see loadgen.h
    offline_expected_qps: float
    sample_concatenate_permutation: bool
    min_duration_ms: int
    max_duration_ms: int
    min_query_count: int
    max_query_count: int
    qsl_rng_seed: int
    sample_index_rng_seed: int
    schedule_rng_seed: int
    accuracy_log_rng_seed: int
    accuracy_log_probability: float
    accuracy_log_sampling_target: int
    print_timestamps: bool
    performance_issue_unique: bool
    performance_issue_same: bool
    performance_issue_same_index: int
    performance_sample_count_override: int
    accuracy_sample_count_override: int
    test05: bool
    test05_qsl_rng_seed: int
    test05_sample_index_rng_seed: int
    test05_schedule_rng_seed: int
    use_token_latencies: bool
    infer_token_latencies: bool
    token_latency_scaling_factor: int
    ttft_latency: int
    tpot_latency: int
    def FromConfig(self, path: str, model: str, scenario: str, conf_type: int = 1) -> int:
        """Return 0, -2 (no such file) or -22 (a line cannot be read); it never raises."""
