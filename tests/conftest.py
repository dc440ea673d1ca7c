"""What holds for every test."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine and every run; a slow machine is no failure.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")

_PREFIX = "PYTHONPYCACHEPREFIX"
_made = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Let all processes of the tests start fast, and share compiled modules in pytest's cache.

    Each process of pytest-xdist reads 400 files of tests, and tests start some 500 processes. Where
    no bytecode may be written, as in many containers, each of them would compile its modules anew:
    two thirds of the reading, half of a start. Processes of pytest-xdist inherit the folder.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `sut` does for its own processes
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if _PREFIX not in os.environ:
        if config.pluginmanager.hasplugin("cacheprovider"):
            made = config.cache.mkdir("compiled")
        else:
            made = Path(tempfile.mkdtemp(prefix="compiled-"))
        config.stash[_made] = made
        os.environ[_PREFIX] = sys.pycache_prefix = str(made)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests, so that the processes come to an end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the compiled modules of folders that are temporary themselves."""
    made = config.stash.get(_made, None)
    if made is None:
        return
    del os.environ[_PREFIX]
    temporary = Path(tempfile.gettempdir()).resolve()
    passing = made if made.is_relative_to(temporary) else made / temporary.relative_to("/")
    shutil.rmtree(passing, ignore_errors=True)
