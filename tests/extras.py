"""Marks for tests that need a package of an extra."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

needs_pycocotools = pytest.mark.skipif(
    find_spec("pycocotools") is None, reason="pycocotools is not installed"
)
