"""The configuration block above a table, in the names of NVIDIA's study of TFT where they apply."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sut.config.settings import CPU

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sut.sweep.steady import Rule
    from sut.sweep.task import Task

# The engines that run CUDA graphs.
_GRAPHS = {"tensorrt", "torch"}


def of(task: Task, facts: Mapping[str, str], rule: Rule) -> dict[str, str]:
    """Return the configuration of a point by name.

    Args:
        task: the point.
        facts: of its engine, device and process; empty if none opened.
        rule: how long it was measured.
    """
    harness, workload, load = task.plan.harness, task.workload, task.load
    model = workload.model
    found = {
        "Benchmark": task.plan.benchmark.name,
        "System": task.plan.system,
        "GPU": facts.get("device_name", ""),
        "Backend": harness.backend,
        "Precision": facts.get("precision", ""),
        "Model format": "" if model is None else Path(model.path).suffix.removeprefix("."),
        "Max batch size": _batch(task),
        "Number of model instances": str(harness.instances),
        "NVIDIA TensorRT Capture CUDA Graph": _graphs(task, facts),
        "Dataset": task.plan.benchmark.description or task.plan.benchmark.name,
        "Device": ", ".join(harness.devices),
        "Options": ", ".join(f"{k}={v}" for k, v in sorted(harness.backend_options.items())),
        "Request Count": _count(rule, is_open=load.kind not in {"offline", "closed"}),
        "Load": _load(task),
        "Workers": task.harness.workers,
        "Slots": str(task.harness.slots),
        "Queue delay": _delay(task.harness.max_queue_delay_us),
        "Simulated": "yes" if facts.get("simulated") == "True" else "",
        "Curve": facts.get("curve", ""),
        "Start of a process": facts.get("process", ""),
    } | task.about()
    return {name: value for name, value in found.items() if value}


def together(blocks: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return one block of several; where they differ, all values."""
    values: dict[str, dict[str, None]] = {}
    for found in blocks:
        for name, value in found.items():
            values.setdefault(name, {})[value] = None
    return {name: " / ".join(those) for name, those in values.items()}


def _batch(task: Task) -> str:
    if task.load.kind == "offline":
        return "the batch of the row"
    harness = task.plan.harness
    return "chosen by warm-up" if harness.chooses_batch else str(harness.max_batch_size)


def _graphs(task: Task, facts: Mapping[str, str]) -> str:
    harness = task.plan.harness
    if harness.backend not in _GRAPHS or CPU in harness.devices:
        return ""
    captured = facts.get("cuda_graphs") == "True"
    return f"Enabled, batches {facts['batch_sizes']}" if captured else "Disabled"


def _count(rule: Rule, *, is_open: bool) -> str:
    steady = (
        f"{rule.requests:,} requests and the mean latency known to {rule.latency_spread:.0%}"
        if is_open
        else f"samples/s known to {rule.spread:.1%}"
    )
    return (
        f"no fixed count: at least {rule.turn_overs:g} turn-overs and {rule.least_s:g} s, until "
        f"{steady}, or {rule.limit_s:g} s"
    )


def _load(task: Task) -> str:
    load = task.load
    if load.kind == "offline":
        return "offline: one batch in flight for each engine"
    each = f"requests of {load.request_batch} sample{'s' if load.request_batch > 1 else ''}"
    return {
        "closed": f"closed loop, {each}",
        "poisson": f"Poisson, {each}, seed {load.seed}",
        "constant": f"constant interval, {each}",
        "replay": f"replay of {Path(load.recorded).name}, {each}",
    }[load.kind]


def _delay(delay_us: int | str) -> str:
    return "late" if isinstance(delay_us, str) else f"{delay_us} us"
