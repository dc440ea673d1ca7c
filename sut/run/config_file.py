"""config.yaml: every resolved value of a test with its source, its model and its samples."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data.preprocess import SampleSet
    from sut.config.harness import Setting
    from sut.config.plan import Plan
    from sut.config.workload import Model

# The option of a load that sets each of LoadGen's keys.
_OPTIONS = {
    "target_qps": "target_qps",
    "target_latency": "target_latency_ms",
    "min_duration": "min_duration_s",
    "min_query_count": "min_query_count",
}


def harness_section(plan: Plan) -> dict[str, object]:
    """Return the plan, as it is known before the samples and LoadGen's keys."""
    return {
        "benchmark": {
            "name": plan.benchmark.name,
            "file": str(plan.benchmark.file),
            "input_dtypes": [tensor.dtype for tensor in plan.benchmark.inputs],
        },
        "scenario": plan.scenario,
        "round": plan.arguments.round,
        "system": plan.system,
        "harness": {name: _plain(setting) for name, setting in plan.settings.items()},
        "notes": plan.notes(),
    }


def loadgen_section(
    plan: Plan, given: Mapping[str, Setting], written: Mapping[str, object]
) -> dict[str, object]:
    """Return LoadGen's keys in force, each with its source.

    Args:
        plan: of the run.
        given: the values of the round and of user.conf.
        written: the user.conf that LoadGen read.
    """
    return {
        key: {"value": value, "source": _source(plan, given.get(key), key, value)}
        for key, value in written.items()
    }


def model_section(model: Model | None) -> dict[str, object] | None:
    """Return the model's files; None for a backend without one."""
    return None if model is None else asdict(model)


def data_section(samples: SampleSet | None) -> dict[str, object] | None:
    """Return a description of the samples; None if none were read."""
    if samples is None:
        return None
    return {
        "description": samples.description,
        "count": samples.count,
        "digest": samples.digest,
    }


def _source(plan: Plan, given: Setting | None, key: str, value: object) -> str:
    option = _OPTIONS.get(key, "")
    is_asked = bool(option) and getattr(plan.arguments.load, option) is not None
    if is_asked and option in plan.load_sources:
        return plan.load_sources[option]
    if given is not None and given.value == value:
        return given.source
    return "command line" if is_asked else "scenario, from warm-up"


def _plain(setting: Setting) -> dict[str, object]:
    value = list(setting.value) if isinstance(setting.value, tuple) else setting.value
    return {"value": value, "source": setting.source}
