"""A tuning that was interrupted goes on where it was, and comes to the same end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.errors import ConfigError
from sut.record.journal import JOURNAL_FILE
from sut.tuner import server
from sut.tuner.job import Space, Variant
from sut.tuner.journal import PREDICTIONS_FILE, Journal, Predictions
from sut.tuner.messages import Measure, drive
from tests.sut.tuner.conftest import make_job, make_world

if TYPE_CHECKING:
    from pathlib import Path

    from sut.tuner.messages import Answer, Ask, Reply
    from tests.sut.tuner.world import World

SETTINGS = {"scenario": "Server", "devices": ["0", "1"]}
JOB = make_job(space=Space(workers=("process",), batches=(4, 8)), confirm_runs=2)
ASK = Measure(Variant(), (1, 2), None)


def tune(folder: Path, world: World, stop_at: int | None = None) -> Answer:
    """Search; `stop_at`: the question at which the user presses Ctrl-C."""
    journal = Journal(folder, SETTINGS)
    journal.open()

    def find(ask: Ask) -> Reply:
        if len(world.asked) == stop_at:
            raise KeyboardInterrupt
        return world(ask)

    def answer(ask: Ask) -> Reply:
        return journal.answer(ask, find)[0]

    return drive(server.search(JOB, Predictions(folder), lambda _: None), answer)


def opened(folder: Path, settings: dict[str, object] | None = None) -> Journal:
    journal = Journal(folder, settings or SETTINGS)
    journal.open()
    return journal


@pytest.mark.slow
def test_an_interrupted_search_asks_only_what_is_missing_and_ends_the_same(tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    whole.mkdir()
    halves.mkdir()
    undisturbed = make_world()
    expected = tune(whole, undisturbed)
    world = make_world()

    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            tune(halves, world, stop_at=stop)
    found = tune(halves, world)

    assert world.asked == undisturbed.asked
    assert (found.candidate, found.target_qps) == (expected.candidate, expected.target_qps)
    assert found.confirmed == expected.confirmed


def test_an_answer_is_read_back_as_it_was_given(tmp_path: Path) -> None:
    world = make_world()
    given, _ = opened(tmp_path).answer(ASK, world)

    read, was_known = opened(tmp_path).answer(ASK, world)

    assert was_known
    assert read == given
    assert len(world.asked) == 1


def test_the_same_question_asked_twice_has_two_answers(tmp_path: Path) -> None:
    world = make_world()
    journal = opened(tmp_path)
    journal.answer(ASK, world)

    _, was_known = journal.answer(ASK, world)

    assert not was_known
    assert len(journal.entries) == 2


def test_a_line_that_was_cut_off_is_asked_again_and_those_before_are_kept(tmp_path: Path) -> None:
    world = make_world()
    opened(tmp_path).answer(ASK, world)
    with (tmp_path / JOURNAL_FILE).open("a") as file:
        file.write('{"ask": {"kind": "mea')

    journal = opened(tmp_path)

    assert journal.answer(ASK, world)[1]
    assert not journal.answer(ASK, world)[1]
    assert opened(tmp_path).answer(ASK, world)[1]


def test_another_tuning_in_the_same_folder_is_refused_and_says_what_differs(
    tmp_path: Path,
) -> None:
    opened(tmp_path)

    with pytest.raises(ConfigError, match=r"devices.*--fresh"):
        opened(tmp_path, {**SETTINGS, "devices": ["0"]})


def test_predictions_are_kept_too(tmp_path: Path) -> None:
    Predictions(tmp_path)["question"] = 0.1
    with (tmp_path / PREDICTIONS_FILE).open("a") as file:
        file.write('["cut')

    assert dict(Predictions(tmp_path)) == {"question": 0.1}
