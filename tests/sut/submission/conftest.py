"""What the tests of `sut check` share: a good tree, and a copy of it to spoil."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.sut.submission.helpers.good_tree import Tree, make_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A submission's tree in which nothing is wrong."""
    return make_tree(tmp_path_factory.mktemp("good"))


@pytest.fixture
def tree(good: Tree, tmp_path: Path) -> Tree:
    """A copy of the good tree, to plant a fault in."""
    shutil.copytree(good.root, tmp_path / "tree")
    return Tree(tmp_path / "tree")
