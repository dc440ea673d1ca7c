"""Processes that read, and a stage, which the tests of this folder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.video.flow.apart.readers import ReaderProcesses
from sut.video.flow.play import Stages
from tests.sut.video.made import detect, plans, write_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def processes() -> Iterator[ReaderProcesses]:
    """Processes that all tests share, as the plays of a command do."""
    with ReaderProcesses(2, stopped_s=0.2) as started:
        yield started


@pytest.fixture(scope="package")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """A stage that takes 20 ms."""
    path = write_pipeline(tmp_path_factory.mktemp("slow"), [detect(pretend={"boxes": 1})])
    with Stages(plans(path, "null", delay_us=20_000), warm_up_s=0.01) as opened:
        yield opened
