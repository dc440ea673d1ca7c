"""The search of `sut video max-streams` over plays that are made up: a limit, and a knife-edge."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from sut.base import environment
from sut.tuner.max_streams import Edge
from sut.verbs import video_options as options
from sut.verbs import video_run
from sut.verbs.video_max_streams import Search, words
from sut.video.alone import Ceilings
from sut.video.hold import Goal, Held

if TYPE_CHECKING:
    from sut.video.flow.stage import StagePlan


@dataclass(slots=True)
class Made(Search):
    """A search whose plays hold up to a limit.

    Attributes:
        limit: of the streams.
        flips: this number does not hold when it comes again.
        spoilt: a number that does not hold when it comes first.
    """

    limit: int = 0
    flips: bool = False
    spoilt: int = 0

    def _measure(self, streams: int) -> Held:
        again = any(held.streams == streams for held in self.tried)
        spoils = streams == (self.limit if again else self.spoilt) and (self.flips or not again)
        holds = streams <= self.limit and not spoils
        held = Held(streams, 30.0, 20.0, () if holds else ("too slow",))
        self.tried.append(held)
        return held

    def _alone(self) -> Ceilings:
        return Ceilings({"decode": 3000.0, "person": 390.0}, {})

    def _result(self, edge: Edge, alone: Ceilings | None, *, knife_edge: bool) -> dict[str, Any]:
        best = 0 if edge.best is None else edge.best.streams
        failing = None if edge.failing is None else edge.failing.streams
        return {
            "streams": best, "failing_streams": failing, "knife_edge": knife_edge,
            "goal": {"fps": 30.0, "p99_ms": 100.0}, "bottleneck": None, "simulated": False,
            "tried": [
                {"streams": h.streams, "holds": h.holds, "why_not": h.why_not} for h in self.tried
            ],
        }  # fmt: skip


def search(
    limit: int, most: int = 64, *, flips: bool = False, spoilt: int = 0
) -> tuple[Made, dict[str, Any]]:
    nothing = cast("Any", None)  # the plays are made up
    made = Made(
        nothing, nothing, Goal(30.0, 100.0), most, print, limit=limit, flips=flips, spoilt=spoilt
    )
    return made, made.run(None)


@pytest.mark.parametrize("limit", [1, 2, 12, 13, 14, 40])
def test_the_largest_number_that_holds_is_found_and_both_sides_are_measured_twice(
    limit: int,
) -> None:
    made, found = search(limit)

    assert (found["streams"], found["failing_streams"]) == (limit, limit + 1)
    assert found["knife_edge"] is False
    counts = [sum(held.streams == side for held in made.tried) for side in (limit, limit + 1)]
    assert counts == [2, 2]


def test_an_edge_that_turns_out_otherwise_the_second_time_is_called_a_knife_edge() -> None:
    _, found = search(13, flips=True)

    assert found["streams"] in {12, 13}
    assert found["knife_edge"] is True
    assert any("knife-edge" in line for line in words(found))


def test_a_number_that_fails_once_and_then_holds_is_not_the_edge() -> None:
    made, found = search(30, spoilt=14)

    assert [held.holds for held in made.tried if held.streams == 14] == [False, True]
    assert (found["streams"], found["failing_streams"]) == (30, 31)
    assert found["knife_edge"] is False


def test_more_than_most_are_not_tried() -> None:
    made, found = search(40, most=20)

    assert max(held.streams for held in made.tried) == 20
    assert (found["streams"], found["failing_streams"]) == (20, 21)
    assert found["knife_edge"] is False
    assert "more are not tried (--most)" in "\n".join(words(found))


@pytest.mark.parametrize(
    ("label", "settings", "is_told"),
    [
        ("decode", {"decode": "cpu", "scale": "steps"}, True),
        ("CPU", {"decode": "cpu", "scale": "steps"}, True),
        ("decode", {"decode": "cpu", "scale": "decoder"}, False),
        ("decode", {"decode": "nvdec", "scale": "steps"}, False),
        ("inference: person", {"decode": "cpu", "scale": "steps"}, False),
    ],
)
def test_where_readers_stop_more_streams_less_work_for_them_is_told(
    label: str, settings: dict[str, str], is_told: bool
) -> None:
    _, found = search(13)
    found |= {"bottleneck": {"label": label, "evidence": ["busy"]}, "best": None}
    found["failing"] = {"settings": settings}

    assert ("--scale decoder" in "\n".join(words(found))) is is_told


@pytest.mark.parametrize(
    ("label", "readers", "told"),
    [
        ("interpreter", 0, "--readers N lets"),
        ("interpreter", 2, "larger batches"),
        ("GPU", 2, "larger batches"),
        ("readers' interpreter", 2, "more than 2 processes"),
    ],
)
def test_where_an_interpreter_stops_more_streams_what_helps_is_told(
    label: str, readers: int, told: str
) -> None:
    _, found = search(13)
    found |= {"bottleneck": {"label": label, "evidence": ["busy"]}, "best": None}
    found["failing"] = {"settings": {"decode": "cpu", "scale": "decoder", "readers": readers}}

    assert told in "\n".join(words(found))


@pytest.mark.parametrize(
    ("typed", "streams", "processes"),
    [
        ([], 4, 0),
        ([], 24, 16),
        (["--sink", "mosaic"], 24, 16),
        (["people-faces"], 1, 0),
        (["people-faces"], 4, 4),
        (["people-faces", "--sink", "mosaic"], 4, 0),
        (["people-faces", "--tracks"], 4, 0),
        (["people-faces", "--decode", "nvdec"], 4, 2),
        (["--readers", "3"], 24, 3),
        (["--readers", "3"], 2, 2),
        (["--decode", "memory"], 24, 0),
        (["--decode", "nvdec"], 1, 1),
        (["--decode", "nvdec"], 24, 2),
        (["--decode", "nvdec", "--readers", "0"], 24, 0),
    ],
)
def test_processes_read_many_streams_and_those_of_nvdec_or_with_crops(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], streams: int, processes: int
) -> None:
    monkeypatch.setattr(environment, "cores", lambda: 16)
    parser = argparse.ArgumentParser()
    video_run.add_arguments(parser)
    pipeline, words = ("people-faces", typed[1:]) if "people-faces" in typed else ("people", typed)
    arguments = parser.parse_args([pipeline, "--source", "a.mp4", *words])
    stages = cast("list[StagePlan]", [None] * len(pipeline.split("-")))

    assert options.readers_of(arguments, streams, stages) == processes
