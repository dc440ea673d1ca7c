"""The options of engines that a command opens itself, instead of the benchmark's own number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.base import OptionValue
    from sut.config.plan import Plan

_THREADS = "intra_op_threads"


def options_of_own(plan: Plan) -> dict[str, OptionValue]:
    """Return a plan's options for engines of another number than its instances.

    A benchmark, or a tuned system, may give each of many engines one thread. Fewer engines share
    all cores; so this option stays only if it was typed.
    """
    found = dict(plan.harness.backend_options)
    if plan.harness.instances > 1 and _THREADS not in plan.arguments.backend_options:
        found.pop(_THREADS, None)
    return found
