"""What the tests of submissions share: the program, and a benchmark of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sut.helpers import own
from tests.sut.helpers.program import Program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A copy of the checkout, to run commands in."""
    return Program.copied_to(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def own_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The YAML file of a benchmark with a model, images and labels beside it."""
    return own.make_benchmark(tmp_path_factory.mktemp("own"))
