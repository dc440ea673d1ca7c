"""When streams hold a rate, and which part is to blame when they do not."""

from __future__ import annotations

from typing import Any

import pytest

from sut.video.alone import Ceilings
from sut.video.bottleneck import bottleneck
from sut.video.hold import Goal, judged


def result(worst: float, p99_ms: float | None = 50.0, problem: str | None = None) -> dict[str, Any]:
    return {
        "figures": {
            "streams": 2,
            "seconds": 10.0,
            "fps_per_stream_worst": worst,
            "latency_p99_ms": p99_ms,
            "dropped": 3,
        },
        "streams": [
            {"stream": 0, "fps": 30.0, "problem": None},
            {"stream": 1, "fps": worst, "problem": problem},
        ],
    }


@pytest.mark.parametrize(
    ("found", "goal", "why"),
    [
        (result(30.0), Goal(30), None),
        (result(29.75), Goal(30), None),
        (result(29.6), Goal(30), "stream 1 has 29.60 of 30 frames/s"),
        (result(30.0), Goal(30, 40), "p99 is 50.0 ms, above 40 ms"),
        (result(30.0, None), Goal(30, 40), "p99 is none"),
        (result(30.0, problem="it stalls"), Goal(30), "stream 1 ended early: it stalls"),
    ],
)
def test_the_worst_stream_and_the_tail_decide(
    found: dict[str, Any], goal: Goal, why: str | None
) -> None:
    held = judged(found, goal)

    assert held.holds == (why is None)
    assert why is None or any(why in line for line in held.why_not)


def test_a_short_hold_may_lose_the_frame_on_its_edge() -> None:
    short = result(29.1)
    short["figures"]["seconds"] = 1.0

    assert judged(short, Goal(30)).holds


def figures(**changes: Any) -> dict[str, Any]:
    """Figures in which nothing was busy."""
    stages = {
        name: {"utilisation": changes.pop(name, 0.3), "batch_fill": 0.5, "batch_mean": 4.0}
        for name in ("see", "tell")
    }
    stages["see"].update(changes.pop("batches", {}))
    parts = {
        "decode": 2.0, "see prepare": 1.0, "see queue": 1.0, "see infer": 5.0, "see read": 1.0,
        "track": 0.2, "tell prepare": 1.0, "tell infer": 4.0, "sink": 0.1,
    }  # fmt: skip
    parts |= changes.pop("parts", {})
    return {
        "stages": stages,
        "streams": 20,
        "reader_share": 0.3,
        "host_share": 0.2,
        "cpu_cores": 1.0,
        "fps": 50.0,
        "parts_ms": {name: {"mean": ms} for name, ms in parts.items()},
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"see": 0.97}, "inference: see"),
        ({"tell": 0.9, "see": 0.88}, "inference: tell"),
        (
            {"see": 0.97, "batches": {"batch_mean": 1.7, "batch_fill": 0.05}, "host_share": 0.9},
            "host",
        ),
        (
            {"see": 0.97, "batches": {"batch_mean": 1.0, "batch_fill": 0.05}, "streams": 1},
            "inference: see",
        ),
        ({"reader_share": 0.95}, "decode"),
        ({"host_share": 0.9}, "host"),
        ({"host_share": 0.9, "parts": {"track": 30.0}}, "tracker"),
        ({"cpu_cores": 3.9}, "CPU"),
        ({"interpreter_share": 0.6, "reader_share": 0.95}, "interpreter"),
        ({"interpreter_share": 0.6, "readers_interpreter_share": 0.7}, "readers' interpreter"),
        ({"interpreter_share": 0.6, "see": 0.97}, "inference: see"),
        ({"interpreter_share": 0.6, "cpu_cores": 3.9}, "CPU"),
        ({"interpreter_share": None, "reader_share": 0.95}, "decode"),
        ({"parts": {"see queue": 40.0}}, "mux"),
        (
            {
                "see": 0.97,
                "batches": {"batch_mean": 1.7, "batch_fill": 0.1},
                "utilisation_percent": 99,
            },
            "GPU",
        ),
        ({"utilisation_percent": 99, "reader_share": 0.9}, "decode"),
        ({"utilisation_percent": 49, "parts": {"see queue": 40.0}}, "mux"),
    ],
)
def test_the_part_that_was_busy_is_named(changes: dict[str, Any], label: str) -> None:
    found = bottleneck(figures(**changes), cores=4)

    assert found.label == label
    assert "of 4 CPU cores" in ", ".join(found.evidence)


def test_where_nobody_was_busy_the_lowest_ceiling_is_named() -> None:
    alone = Ceilings({"decode": 900.0, "see": 400.0, "tell": 55.0}, {})

    assert bottleneck(figures(), 4, alone).label == "inference: tell"
    assert bottleneck(figures(), 4, Ceilings({"decode": 51.0, "see": 90.0}, {})).label == "decode"


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"cpu_cores": 3.5}, "CPU"),
        ({"utilisation_percent": 80.0}, "GPU"),
        ({"readers_interpreter_share": 0.45}, "readers' interpreter"),
        ({"tell": 0.7}, "inference: tell"),
    ],
)
def test_where_nobody_was_busy_what_came_nearest_is_named(
    changes: dict[str, Any], label: str
) -> None:
    far = Ceilings({"decode": 900.0, "see": 400.0}, {})

    assert bottleneck(figures(**changes), 4, far).label == label
