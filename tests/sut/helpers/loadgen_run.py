"""One run of `sut.load.loadgen` with the real LoadGen, in a process of its own, as it needs one.

`Run` says how the system under test behaves; `run` returns what it saw.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import SutError
from sut.load import loadgen
from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CHECKOUT = Path(__file__).resolve().parents[3]
TOTAL, LOADED = 20, 8
_LIMIT_S = 5.0
# Completed from other threads, in batches of this many.
_BATCH = 3
_THREADS = 4
CONF = (("min_duration", 1), ("min_query_count", 50))


@dataclass(frozen=True)
class Run:
    """One LoadGen test.

    Attributes:
        scenario: as LoadGen spells it.
        accuracy: AccuracyOnly.
        conf: user.conf keys, as (key, value); see also `conf_text`.
        conf_text: what user.conf holds instead; "-" for no such file.
        records: "equal", "unequal", or "empty": what a sample is answered with; or "none".
        threads: complete from other threads.
        raises: "issue", "flush", "load", "unload" or "name": the callback that raises.
        audit: an audit.config to give, and one with the same content that lies in the folder.
        trace: LoadGen's own.
        name: of a SUT that is elsewhere, behind a QDL; empty: it is here.
    """

    scenario: str = "Offline"
    accuracy: bool = False
    conf: tuple[tuple[str, float], ...] = CONF
    conf_text: str = ""
    records: str = "equal"
    threads: bool = False
    raises: str = ""
    audit: bool = False
    trace: bool = False
    name: str = ""


@dataclass(frozen=True)
class Observed:
    """What a run did.

    Attributes:
        folder: LoadGen's logs.
        code: exit code of the process; None: it hung.
        err: its standard error.
        error: the SutError that `sut.load.loadgen.run` raised, as "Type: text", or empty.
        failures: (line, traceback) that it reported.
        issued: data set indices of each query.
        loaded: data set indices of each load.
        unloaded: the same of unload.
        outside: indices issued while they were not loaded.
        flushes: calls of flush.
    """

    folder: Path
    code: int | None
    err: str
    error: str = ""
    failures: list[list[str]] = field(default_factory=list)
    issued: list[list[int]] = field(default_factory=list)
    loaded: list[list[int]] = field(default_factory=list)
    unloaded: list[list[int]] = field(default_factory=list)
    outside: list[int] = field(default_factory=list)
    flushes: int = 0


def record(kind: str, index: int) -> NDArray[np.generic]:
    """Return what sample `index` is answered with."""
    if kind == "equal":
        return np.random.default_rng(index).random(5, np.float32)
    size = {"unequal": index % 4 * 3, "empty": 0}[kind]
    return np.frombuffer(np.random.default_rng(index).bytes(size), np.uint8)


def run(wanted: Run, folder: Path) -> Observed:
    """Run it in a process of its own, with its logs in `folder`."""
    lines = [f"*.{wanted.scenario}.{key} = {value}\n" for key, value in wanted.conf]
    if wanted.conf_text != "-":
        (folder / "user.conf").write_text(wanted.conf_text or "".join(lines), "utf-8")
    # StartTest reads a file of this name in its folder, unless it is told another.
    (folder / "audit.config").write_text("*.*.min_query_count = 77\n", "utf-8")
    try:
        done = subprocess.run(
            [sys.executable, __file__, json.dumps(asdict(wanted)), str(folder)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            check=False,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return Observed(folder, None, f"LoadGen has not returned after {_LIMIT_S} s")
    content = json.loads((folder / "seen.json").read_text("utf-8"))
    return Observed(folder, done.returncode, done.stderr, **content)


class System:
    """Sink and library in one: does what `Run` says, and keeps what it saw."""

    total_count, performance_count = TOTAL, LOADED

    def __init__(self, wanted: Run) -> None:
        self._wanted = wanted
        self._pool = ThreadPoolExecutor(_THREADS) if wanted.threads else None
        self._now: set[int] = set()
        self.seen: dict[str, list[object]] = {
            key: [] for key in ("failures", "issued", "loaded", "unloaded", "outside")
        }
        self.flushes = 0

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        self.seen["issued"].append(indices)
        self.seen["outside"] += [index for index in indices if index not in self._now]
        self._raise("issue")
        if self._pool is None:
            self._complete(ids, indices)
            return
        for k in range(0, len(ids), _BATCH):
            self._pool.submit(self._complete, ids[k : k + _BATCH], indices[k : k + _BATCH])

    def flush_queries(self) -> None:
        self.flushes += 1
        self._raise("flush")

    def load_samples(self, indices: list[int]) -> None:
        self._now = set(indices)
        self.seen["loaded"].append(indices)
        self._raise("load")

    def unload_samples(self, indices: list[int]) -> None:
        self._now -= set(indices)
        self.seen["unloaded"].append(indices)
        self._raise("unload")

    def name(self) -> str:
        self._raise("name")
        return self._wanted.name

    def fail(self, line: str, traceback: str) -> None:
        self.seen["failures"].append([line, traceback])

    def _complete(self, ids: Sequence[int], indices: Sequence[int]) -> None:
        kind = self._wanted.records
        if kind == "none":
            loadgen.complete(ids, None)
            return
        records = [record(kind, index) for index in indices]
        loadgen.complete(ids, Responses.of(np.stack(records) if kind == "equal" else records))

    def _raise(self, callback: str) -> None:
        if self._wanted.raises == callback:
            raise RuntimeError(f"{callback} is out of luck")


def main(wanted: Run, folder: Path) -> None:
    """Run it, write seen.json, and leave as any script does."""
    system = System(wanted)
    test = loadgen.LoadgenTest(
        scenario=wanted.scenario,
        accuracy=wanted.accuracy,
        model="own",
        user_conf=folder / "user.conf",
        out_dir=folder,
        audit_config=folder / "audit.config" if wanted.audit else None,
        trace=wanted.trace,
    )
    error = ""
    try:
        loadgen.run(test, system, system, system.fail, system.name if wanted.name else None)
    except SutError as raised:
        error = f"{type(raised).__name__}: {raised}"
    seen = {**system.seen, "error": error, "flushes": system.flushes}
    (folder / "seen.json").write_text(json.dumps(seen), "utf-8")


if __name__ == "__main__":
    main(Run(**json.loads(sys.argv[1])), Path(sys.argv[2]))
