"""What the tests of the tuner share: small worlds, and searches in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from backends.simulated.curve import formula
from sut.serve.service_times import Measured
from sut.tuner import server
from sut.tuner.job import Bound, Job, Space, Variant
from sut.tuner.messages import Measure, drive
from sut.tuner.model import Model
from tests.sut.tuner.world import World

if TYPE_CHECKING:
    from sut.tuner.messages import Answer

MS = 1e6
BOUND_NS = 300 * MS
# Two devices that answer some hundred samples a second: a run is some thousand samples.
CURVE = formula(20.0, 8.0)


def make_world(**changes: object) -> World:
    """Return a world of two equal devices."""
    return World([CURVE, CURVE], BOUND_NS, **changes)  # type: ignore[arg-type]  # fields by name


def make_job(**changes: object) -> Job:
    """Return a job for that world; runs are short, so that the model's are too."""
    settings: dict[str, object] = {
        "space": Space(workers=("process",), batches=(2, 6, 12, 15, 18, 24)),
        "probe_s": 5.0,
        "confirm_s": 6.0,
        **changes,
    }
    return Job("Server", (Bound("p99", BOUND_NS, 0.99),), **settings)  # type: ignore[arg-type]  # fields by name


@dataclass(frozen=True)
class Found:
    """A search that came to its end.

    Attributes:
        world: that it searched.
        job: what was asked.
        answer: its answer.
        said: what it said.
    """

    world: World
    job: Job
    answer: Answer
    said: list[str]


def find(world: World, job: Job) -> Found:
    """Search a world by the model."""
    said: list[str] = []
    answer = drive(server.search(job, {}, said.append), world)
    return Found(world, job, answer, said)


def model_of(world: World, job: Job) -> Model:
    """Return the model of a world, from its own S(b)."""
    measured = replace(world, asked=[])(Measure(Variant(), job.space.sizes))
    assert isinstance(measured, Measured)
    return Model({Variant(): measured}, job.bounds, job.confirm_s)


@pytest.fixture(scope="session")
def found() -> Found:
    """A search of the usual world."""
    return find(make_world(), make_job())
