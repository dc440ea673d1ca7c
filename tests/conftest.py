"""What holds for every test."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import settings

# The same examples on every machine and every run; a slow machine is no failure.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")

_PREFIX = "PYTHONPYCACHEPREFIX"
_compiled = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let all processes of the tests share compiled modules, in a folder that ends with the tests.

    Tests start some 500 processes. Where no bytecode may be written, as in many containers, each
    of them would compile the program anew: half of its start. Processes of pytest-xdist inherit it.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if _PREFIX not in os.environ:
        config.stash[_compiled] = tempfile.TemporaryDirectory(prefix="compiled-")
        os.environ[_PREFIX] = config.stash[_compiled].name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the compiled modules."""
    if _compiled in config.stash:
        del os.environ[_PREFIX]
        config.stash[_compiled].cleanup()
