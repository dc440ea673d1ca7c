"""Cores of a run: what `taskset` and `--affinity` leave is what its engines use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import ConfigError
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import resolve_workload
from tests.sut.helpers import folders
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from tests.sut.helpers.program import Program, Running

ALLOWED = sorted(os.sched_getaffinity(0))
LAST = ALLOWED[-1]
COMMAND = ("-s", "SingleStream", "--min-duration-s", 6, "--out", "out")


def cores_of(pid: int) -> set[str]:
    """Return the lists of cores of all threads of a process."""
    found = set()
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = status.read_text("ascii").splitlines()
        found |= {line.split()[1] for line in lines if line.startswith("Cpus_allowed_list")}
    return found


def wait_for_batches(out: Path) -> None:
    wait_until(lambda: folders.batches_so_far(out) > 10, "batches are answered")


def module_cores(running: Running, module: str) -> list[set[str]]:
    lines = running.processes()
    return [cores_of(pid) for pid, line in lines.items() if f" -m {module} " in line]


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["inline", "thread", "process"])
def test_n2_no_thread_leaves_the_cores_that_taskset_gave(
    program: Program, own_yaml: Path, tmp_path: Path, workers: str
) -> None:
    words = ("run", "-b", own_yaml, *COMMAND, "--workers", workers)

    with program.start(*words, cwd=tmp_path, before=("taskset", "-c", str(LAST))) as running:
        wait_for_batches(tmp_path / "out")

        assert module_cores(running, "sut.run.trial") == [{str(LAST)}]
        children = module_cores(running, "sut.serve.workers.child")

    assert children == ([{str(LAST)}] if workers == "process" else [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "module"), [("inline", "sut.run.trial"), ("process", "sut.serve.workers.child")]
)
def test_n2_affinity_binds_all_threads_of_the_worker(
    program: Program, own_yaml: Path, tmp_path: Path, workers: str, module: str
) -> None:
    words = ("run", "-b", own_yaml, *COMMAND, "--workers", workers, "--affinity", f"cpu:{LAST}")

    with program.start(*words, cwd=tmp_path) as running:
        wait_for_batches(tmp_path / "out")

        assert module_cores(running, module) == [{str(LAST)}]


def arguments(own_yaml: Path, **more: object) -> Arguments:
    return Arguments(benchmark=str(own_yaml), scenario="Offline", **more)  # type: ignore[arg-type] # fields of a test


def test_n2_cores_that_this_process_may_not_use_are_refused(own_yaml: Path) -> None:
    with pytest.raises(ConfigError, match=r"affinity of device cpu names cores 9999 .*may use"):
        resolve(arguments(own_yaml, affinity="cpu:9999"))


def test_n2_one_instance_a_core_counts_the_cores_of_the_affinity(own_yaml: Path) -> None:
    plan = resolve(arguments(own_yaml, affinity=f"cpu:{LAST}", instances="cores"))

    assert plan.harness.instances == 1


@pytest.mark.parametrize("instances", [1, 2, 64])
def test_n2_instances_on_the_cpu_share_its_cores(own_yaml: Path, instances: int) -> None:
    plan = resolve(arguments(own_yaml, instances=instances))
    workload = resolve_workload(plan.benchmark, "onnxruntime", None)

    cores = plan.harness.engine(workload, "cpu").cores

    assert cores == (None if instances == 1 else max(1, len(ALLOWED) // instances))
