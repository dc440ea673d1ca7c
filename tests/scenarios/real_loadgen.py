"""Real LoadGen runs of a fraction of a second, each in a process of its own, each made once.

`Run` says what LoadGen is told and how the system under test behaves; `logs` gives the folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_AT_ONCE = 4
TOTAL_SAMPLES, PERFORMANCE_SAMPLES = 300, 256
_folder = tempfile.TemporaryDirectory(prefix="loadgen-")


@dataclass(frozen=True)
class Run:
    """One LoadGen test.

    Attributes:
        scenario: as LoadGen spells it.
        conf: user.conf keys, as (key, value).
        accuracy: AccuracyOnly.
        query_s: the system sleeps this long in each IssueQuery.
        sample_s: and this long for each sample of it.
        late_every: every so many queries, one is completed `late_s` later, by another thread.
        late_s: see late_every.
        configs: calls of FromConfig; LoadGen logs an error for a second one.
    """

    scenario: str
    conf: tuple[tuple[str, float], ...] = ()
    accuracy: bool = False
    query_s: float = 0.0
    sample_s: float = 0.0
    late_every: int = 0
    late_s: float = 0.0
    configs: int = 1

    def with_conf(self, **keys: float) -> Run:
        """Return this run with some user.conf keys changed."""
        return replace(self, conf=tuple({**dict(self.conf), **keys}.items()))


@cache
def logs(run: Run) -> Path:
    """Run LoadGen, once for each `run`; return the folder with its logs."""
    folder = Path(tempfile.mkdtemp(dir=_folder.name))
    lines = [f"*.{run.scenario}.{key} = {value}\n" for key, value in run.conf]
    (folder / "user.conf").write_text("".join(lines), encoding="utf-8")
    command = [sys.executable, __file__, json.dumps(asdict(run)), str(folder)]
    subprocess.run(command, check=True, timeout=30)
    return folder


def make(runs: Iterable[Run]) -> None:
    """Make several runs side by side, before `logs` is asked for them; most of them sleep."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(logs, dict.fromkeys(runs)))


class System:
    """The system under test: completes each query inside IssueQuery, or later if told so."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._queries = 0

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Take one query."""
        run = self._run
        self._queries += 1
        time.sleep(run.query_s + run.sample_s * len(indices))
        if run.late_every and self._queries % run.late_every == 0:
            threading.Timer(run.late_s, self._complete, [ids]).start()
        else:
            self._complete(ids)

    @staticmethod
    def _complete(ids: list[int]) -> None:
        import mlperf_loadgen as lg

        lg.QuerySamplesComplete([lg.QuerySampleResponse(i, 0, 0) for i in ids])


def main(run: Run, folder: Path) -> None:
    """Run one test; this process runs nothing else."""
    import mlperf_loadgen as lg

    def read_conf(settings: lg.TestSettings) -> None:
        code = settings.FromConfig(str(folder / "user.conf"), "mobilenet", run.scenario)
        if code:
            raise SystemExit(f"user.conf refused: {code}")

    def load(indices: list[int]) -> None:
        # Only now is LoadGen's log open: an error of before may go to standard error instead.
        for _ in range(run.configs - 1):
            read_conf(lg.TestSettings())

    settings = lg.TestSettings()
    read_conf(settings)
    settings.scenario = getattr(lg.TestScenario, run.scenario)
    settings.mode = lg.TestMode.AccuracyOnly if run.accuracy else lg.TestMode.PerformanceOnly
    output = lg.LogOutputSettings()
    output.outdir = str(folder)
    log = lg.LogSettings()
    log.log_output = output
    log.enable_trace = False
    sut = lg.ConstructFastSUT(System(run).issue, lambda: None)
    qsl = lg.ConstructQSL(TOTAL_SAMPLES, PERFORMANCE_SAMPLES, load, lambda _: None)
    lg.StartTestWithLogSettings(sut, qsl, settings, log, "no-audit.config")
    lg.DestroyQSL(qsl)
    lg.DestroyFastSUT(sut)


if __name__ == "__main__":
    main(Run(**json.loads(sys.argv[1])), Path(sys.argv[2]))
