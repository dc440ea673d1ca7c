"""The only module that imports LoadGen: settings in, callbacks guarded, responses out.

One process runs one StartTest and then ends, for three reasons: LoadGen applies its built-in
mlperf.conf only in the first FromConfig of a process; an exception that leaves a callback corrupts
it; and Python cannot abort a test.

Knows nothing of models, batches or devices.
"""

from __future__ import annotations

import traceback
from ctypes import addressof, c_char
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

# Never `mlcommons_loadgen`: that package replaces the extension module by itself.
import mlperf_loadgen as lg

from sut.base.errors import ConfigError, SutError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from sut.serve.responses import Responses

# Return codes of TestSettings.FromConfig, which raises nothing (loadgen/test_settings_internal.cc).
_FILE_MISSING, _PARSE_ERROR = -2, -22

# StartTest reads an audit.config from the current directory if there is one. Without an audit, give
# it a name that does not exist.
NO_AUDIT = "no-audit.config"


class QuerySink(Protocol):
    """What LoadGen drives: the dispatcher, or an inline worker."""

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        """Take response ids and data set indices; each id is completed once, now or later."""

    def flush_queries(self) -> None:
        """The last query of a series was issued."""


class SampleLibrary(Protocol):
    """LoadGen's QuerySampleLibrary."""

    total_count: int
    performance_count: int

    def load_samples(self, indices: list[int]) -> None:
        """Bring these data set indices into memory; not timed."""

    def unload_samples(self, indices: list[int]) -> None:
        """Release these data set indices; not timed."""


@dataclass(frozen=True, slots=True)
class LoadgenTest:
    """One LoadGen test.

    Attributes:
        scenario: as LoadGen spells it.
        accuracy: AccuracyOnly instead of PerformanceOnly.
        model: LoadGen's model name; it selects the lines of mlperf.conf and user.conf.
        user_conf: checked by sut.config.user_conf before.
        out_dir: must exist and be writable, or LoadGen crashes later.
        audit_config: an audit.config to apply, or None.
        trace: write mlperf_log_trace.json; it doubles the cost of a query.
    """

    scenario: str
    accuracy: bool
    model: str
    user_conf: Path
    out_dir: Path
    audit_config: Path | None = None
    trace: bool = False


def version() -> str:
    """The version of the installed LoadGen package."""
    from importlib.metadata import version as package_version  # noqa: PLC0415 - once a run

    return package_version("mlcommons-loadgen")


def complete(ids: Sequence[int], responses: Responses | None) -> None:
    """Complete every id in one call, with its record, or empty for None. Any thread may call it.

    LoadGen copies the bytes during the call, and only if it needs them.
    """
    response = lg.QuerySampleResponse
    if responses is None:
        lg.QuerySamplesComplete([response(i, 0, 0) for i in ids])
        return
    address, size = _address(responses.block), responses.record_bytes
    if size and len(ids) == 1:
        lg.QuerySamplesComplete([response(ids[0], address, size)])
        return
    if size:
        addresses = range(address, address + size * len(ids), size)
        lg.QuerySamplesComplete([response(i, a, size) for i, a in zip(ids, addresses, strict=True)])
        return
    records = []
    for i, record_bytes in zip(ids, responses.sizes, strict=True):
        records.append(response(i, address, record_bytes))
        address += record_bytes
    lg.QuerySamplesComplete(records)


def _address(block: NDArray[np.generic]) -> int:
    """Return the address of the bytes. `__array_interface__` is slower: it builds a dictionary."""
    if block.flags.writeable:
        return addressof(c_char.from_buffer(block))  # type: ignore[arg-type]  # it is a buffer
    return int(block.__array_interface__["data"][0])


def run(
    test: LoadgenTest,
    sink: QuerySink,
    library: SampleLibrary,
    on_failure: Callable[[str, str], None],
    name: Callable[[], str] | None = None,
) -> None:
    """Run one test; returns when LoadGen returns, after the last sample is complete.

    Callbacks run on the calling thread. An exception in one never reaches LoadGen: it goes to
    `on_failure` (one line, traceback), and the query's samples are completed empty.

    Args:
        test: what to run.
        sink: answers the queries.
        library: has the samples.
        on_failure: see above.
        name: the SUT's name, each time LoadGen asks: then `sink` is a Query Dispatch Library, whose
            SUT is elsewhere. None: the SUT is here.

    Raises:
        ConfigError: LoadGen refused user.conf.
        SutError: LoadGen wrote no result.
    """
    settings = _settings(test)
    guard = _Guard(sink, library, on_failure)
    if name is None:
        system, destroy = lg.ConstructFastSUT(guard.issue, guard.flush), lg.DestroyFastSUT
    else:
        naming = partial(guard.name, name)
        system, destroy = lg.ConstructQDL(guard.dispatch, guard.flush, naming), lg.DestroyQDL
    samples = lg.ConstructQSL(
        library.total_count, library.performance_count, guard.load, guard.unload
    )
    audit = str(test.audit_config) if test.audit_config else NO_AUDIT
    lg.StartTestWithLogSettings(system, samples, settings, _log_settings(test), audit)
    lg.DestroyQSL(samples)
    destroy(system)
    if not (test.out_dir / "mlperf_log_summary.txt").is_file():
        raise SutError(f"{test.out_dir}: LoadGen wrote no logs there. Is the folder writable?")


def _settings(test: LoadgenTest) -> lg.TestSettings:
    settings = lg.TestSettings()
    code = settings.FromConfig(str(test.user_conf), test.model, test.scenario)
    if code == _FILE_MISSING:
        raise ConfigError(f"{test.user_conf}: LoadGen cannot read it.")
    if code == _PARSE_ERROR:
        raise ConfigError(f"{test.user_conf}: LoadGen refused it; its detail log names the line.")
    if code:
        raise ConfigError(f"{test.user_conf}: LoadGen's FromConfig returned {code}.")
    settings.scenario = getattr(lg.TestScenario, test.scenario)
    modes = lg.TestMode
    settings.mode = modes.AccuracyOnly if test.accuracy else modes.PerformanceOnly
    return settings


def _log_settings(test: LoadgenTest) -> lg.LogSettings:
    output = lg.LogOutputSettings()
    output.outdir = str(test.out_dir)
    settings = lg.LogSettings()
    settings.log_output = output
    settings.enable_trace = test.trace
    return settings


class _Guard:
    """The callbacks. None of them lets an exception out, because LoadGen would crash."""

    def __init__(
        self, sink: QuerySink, library: SampleLibrary, on_failure: Callable[[str, str], None]
    ) -> None:
        self._sink, self._library, self._on_failure = sink, library, on_failure
        self._issue = sink.issue_query

    def issue(self, ids: list[int], indices: list[int]) -> None:
        try:
            self._issue(ids, indices)
        except BaseException as error:  # noqa: BLE001 - see the class
            self._report("IssueQuery", error)
            complete(ids, None)

    def dispatch(self, samples: list[lg.QuerySample]) -> None:
        self.issue([sample.id for sample in samples], [sample.index for sample in samples])

    def name(self, ask: Callable[[], str]) -> str:
        try:
            return ask()
        except BaseException as error:  # noqa: BLE001 - see the class
            self._report("Name", error)
            return ""

    def flush(self) -> None:
        try:
            self._sink.flush_queries()
        except BaseException as error:  # noqa: BLE001 - see the class
            self._report("FlushQueries", error)

    def load(self, indices: list[int]) -> None:
        try:
            self._library.load_samples(indices)
        except BaseException as error:  # noqa: BLE001 - see the class
            self._report("LoadSamplesToRam", error)

    def unload(self, indices: list[int]) -> None:
        try:
            self._library.unload_samples(indices)
        except BaseException as error:  # noqa: BLE001 - see the class
            self._report("UnloadSamplesFromRam", error)

    def _report(self, callback: str, error: BaseException) -> None:
        self._on_failure(
            f"{callback}: {type(error).__name__}: {error}",
            "".join(traceback.format_exception(error)),
        )
