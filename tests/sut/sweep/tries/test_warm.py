"""Which tries are forked, and that each of the others starts anew."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from sut.run.nursery import Imports
from sut.sweep.tries.attempt import PROCESS
from sut.sweep.tries.group import MODULE, TryGroup
from sut.sweep.tries.limit import MachineLimit
from sut.sweep.tries.outcome import Kind
from sut.sweep.tries.warm import WarmStart, imports_of
from tests.sut.sweep.tries.test_group import requests

if TYPE_CHECKING:
    from pathlib import Path

    from sut.sweep.tries.group import Launch
    from sut.sweep.tries.outcome import Outcome

VARIABLE = {"CUDA_MPS_PIPE_DIRECTORY": "here"}


def outcome(folder: Path, launch: Launch) -> Outcome:
    [request] = requests(folder, 1)
    with TryGroup([request], MachineLimit(), launch=launch) as group:
        group.start()
        [found] = group.outcomes()
    assert found.kind is Kind.OK, found
    return found


@pytest.mark.parametrize(
    ("backend", "device", "may"),
    [
        ("torch", "0", True),
        ("torch", "cpu", False),  # what it has in RAM is measured
        ("onnxruntime", "0", False),
        ("tensorrt", "0", False),
        ("simulated", "0", False),
    ],
)
def test_only_imports_that_survive_a_fork_on_devices_with_memory_of_their_own(
    backend: str, device: str, *, may: bool
) -> None:
    found = imports_of(backend, device, {"compile": "none"}, ["an.act"])

    assert (found == Imports(backend, device, {"compile": "none"}, [MODULE, "an.act"])) == may
    assert (found is None) != may


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands children over")
def test_a_try_is_forked_unless_a_command_stands_before_it(tmp_path: Path) -> None:
    said: list[str] = []
    with WarmStart(Imports("", "cpu", {}, [MODULE]), said.append) as warm:
        forked = outcome(tmp_path / "1", lambda r, before: warm.launch(r, before, VARIABLE))
        anew = outcome(tmp_path / "2", lambda r, _: warm.launch(r, ["/usr/bin/env"], VARIABLE))
        busy_s = warm.busy_s()

    assert (forked.facts[PROCESS], anew.facts[PROCESS]) == ("forked", "anew")
    assert forked.figures["mps"] == anew.figures["mps"] == "here"
    assert said == []
    assert 0 < busy_s < 60


def test_where_the_nursery_fails_tries_start_anew_and_one_line_says_why(tmp_path: Path) -> None:
    said: list[str] = []
    with WarmStart(Imports("", "cpu", {}, ["no_such_module"]), said.append) as warm:
        found = outcome(tmp_path, warm.launch)

    assert found.facts[PROCESS] == "anew"
    assert warm.busy_s() == 0
    [line] = said
    assert "tries start anew from now on" in line
    assert line.endswith("ModuleNotFoundError: No module named 'no_such_module'")
