"""What an engine does while it is opened reaches whoever watches the test."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backends.simulated.engine import OPENING_STEPS
from scenarios.base import Load
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.settings import Limits
from sut.run.run import run
from sut.run.supervisor import Supervisor
from tests.sut.run import trials

if TYPE_CHECKING:
    from pathlib import Path

    from sut.config.settings import TrialRequest, WorkerKind

pytestmark = pytest.mark.slow


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


EACH = [f"preparing {k} of {OPENING_STEPS}" for k in range(1, OPENING_STEPS + 1)]


def steps_of(made: TrialRequest) -> list[str]:
    """Open the engines of a test; return what was heard meanwhile, in order."""
    heard: list[str] = []

    with Supervisor(made) as trial:

        def look() -> None:
            step = str(trial.event("opening").get("step", ""))
            if step not in heard[-1:]:
                heard.append(step)

        assert trial.wait_for("engines", look)
    return [step for step in heard if step]


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_the_steps_of_an_engine_are_heard(tmp_path: Path, kind: WorkerKind) -> None:
    made = trials.request(tmp_path, kind, {"open_s": 0.03}, Limits(), 0.1)

    assert steps_of(made) == EACH


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_several_engines_are_told_apart(tmp_path: Path, kind: WorkerKind) -> None:
    made = trials.request(tmp_path, kind, {"open_s": 0.03}, Limits(), 0.1)
    two = replace(made, harness=replace(made.harness, devices=("0", "1")))

    steps = steps_of(two)

    for device in two.harness.devices:
        name = f"device {device}: "
        assert [s.removeprefix(name) for s in steps if s.startswith(name)] == EACH


def test_the_line_of_a_test_shows_what_its_engine_does(tmp_path: Path) -> None:
    options = {"open_s": 1.0, "base_ms": 1.0, "per_sample_ms": 0.0}
    plan = resolve(
        Arguments(
            *("resnet50", "SingleStream"),
            backend="simulated",
            devices=("0",),
            backend_options=options,
            load=Load(min_duration_s=0.1, min_query_count=1),
        )
    )

    with contextlib.redirect_stderr(Terminal()) as screen:
        run(plan, tmp_path / "out", "")

    assert "SingleStream: opening the engine: preparing 2 of 3, " in screen.getvalue()
