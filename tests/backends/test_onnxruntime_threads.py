"""Threads of ONNX Runtime stay on the cores that their process or worker may use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends.models import linear, save

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = sorted(os.sched_getaffinity(0))
# Opens an engine as a worker on a thread does, and prints each new thread's cores, and the facts.
SCRIPT = """
import json, os, sys, threading
from pathlib import Path
from backends.base import EngineSpec, TensorSpec
from data.tasks.other import Raw
from sut.serve.workers.executor import Executor, ExecutorSpec

def cores_of(task):
    text = Path(f"/proc/self/task/{task}/status").read_text()
    return next(l.split()[1] for l in text.splitlines() if l.startswith("Cpus_allowed_list"))

path, process, worker, options = sys.argv[1], *map(json.loads, sys.argv[2:])
os.sched_setaffinity(0, process)
before = set(os.listdir("/proc/self/task"))
found = {}

def work():
    engine = EngineSpec("onnxruntime", path, (TensorSpec("x", (2, 3, 4), "float32"),), None, 4,
                        options=options)
    executor = Executor(ExecutorSpec(engine, Raw(), worker))
    new = set(os.listdir("/proc/self/task")) - before
    found.update(cores=sorted(cores_of(task) for task in new), facts=executor.facts())
    executor.close()

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(json.dumps(found))
"""


def opened(
    folder: Path, process: list[int], worker: str = "", **options: object
) -> dict[str, object]:
    """Open an engine in a new process; return the cores of its threads, and its facts."""
    words = [json.dumps(value) for value in (process, worker, options)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, save(linear(), folder), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("core", ALLOWED[:2])
@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_n2_no_thread_leaves_the_one_core_of_the_process(
    tmp_path: Path, core: int, mode: str
) -> None:
    found = opened(tmp_path, [core], execution_mode=mode)

    assert set(found["cores"]) == {str(core)}  # type: ignore[call-overload] # a list of texts
    assert found["facts"]["intra_op_threads"] == 1  # type: ignore[index] # a dict


@pytest.mark.parametrize("core", ALLOWED[:2])
def test_n2_a_worker_on_one_core_keeps_its_threads_there(tmp_path: Path, core: int) -> None:
    found = opened(tmp_path, ALLOWED, str(core))

    assert set(found["cores"]) == {str(core)}  # type: ignore[call-overload] # a list of texts
    assert found["facts"]["intra_op_threads"] == 1  # type: ignore[index] # a dict


def test_n2_more_threads_than_cores_stay_there_too(tmp_path: Path) -> None:
    found = opened(tmp_path, ALLOWED[:1], intra_op_threads=3, inter_op_threads=2)

    cores = found["cores"]
    assert isinstance(cores, list)
    assert len(cores) >= 3
    assert set(cores) == {str(ALLOWED[0])}
