"""Where a package of an extra is absent, the modules of tests that need it skip; none fails."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
OURS = {"sut", "backends", "scenarios", "data", "tests"}
# What every installation has, and the tools of the tests; any other package may be absent.
PRESENT = {"mlperf_loadgen", "msgspec", "numpy", "onnx", "onnxruntime", "PIL", "rich", "yaml"}
TOOLS = {"hypothesis", "pytest"}
# Only what begins a line runs whenever a module is imported. Below a statement that skips the
# module nothing runs without the package.
STATEMENT = re.compile(
    r"^(?:import (?P<module>[\w.]+)"
    r"|from (?P<source>[\w.]+) import (?P<names>\([^)]*\)|[^\n]*)"
    r'|(?:\w+ = )?pytest\.importorskip\("(?P<skipped>\w+))',
    re.MULTILINE,
)


FOUND: dict[str, frozenset[str]] = {}


def file_of(module: str) -> Path | None:
    """Return the file of one of our modules, if there is one."""
    path = ROOT.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def needed(module: str) -> frozenset[str]:
    """Return the packages without which a module cannot be imported and does not skip itself."""
    top = module.split(".", maxsplit=1)[0]
    if top not in OURS:
        known = top in sys.stdlib_module_names or top in PRESENT | TOOLS
        return frozenset() if known else frozenset({top})
    if module not in FOUND:
        FOUND[module] = frozenset()  # a package and its modules import each other
        file = file_of(module)
        text = file.read_text("utf-8") if file else ""
        FOUND[module] = needed_by(text)
        # pytest keeps half of a module of tests that skips itself, for others to import from.
        if file and file.name.startswith("test_"):
            FOUND[module] |= {found["skipped"] for found in STATEMENT.finditer(text)} - {None}
    return FOUND[module]


def needed_by(text: str) -> frozenset[str]:
    """Return the same of the text of a module."""
    skipped: set[str] = set()
    found: set[str] = set()
    for statement in STATEMENT.finditer(text):
        if statement["skipped"]:
            skipped.add(statement["skipped"])
        for module in imported(statement):
            found |= needed(module) - skipped
    return frozenset(found)


def imported(statement: re.Match[str]) -> Iterator[str]:
    """Yield what a statement imports: modules, the packages that they are in, and names."""
    module = statement["module"] or statement["source"] or ""
    parts = module.split(".") if module else []
    yield from (".".join(parts[: k + 1]) for k in range(len(parts)))
    yield from (f"{module}.{name}" for name in re.findall(r"\w+", statement["names"] or ""))


def modules_of_tests() -> Iterator[tuple[str, str]]:
    """Yield name and text of each module that pytest imports by itself."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name.startswith(("test_", "conftest")):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def test_a_module_of_tests_skips_where_a_package_is_absent() -> None:
    without = {name: set(needed_by(text)) for name, text in modules_of_tests()}

    assert {name: packages for name, packages in without.items() if packages} == {}


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ("import zmq", {"zmq"}),
        ("from zmq.utils import monitor", {"zmq"}),
        ("import os.path\nimport numpy as np\nfrom sut.base import files", set()),
        ("from sut.serve.cluster.node import Node", {"zmq"}),
        ("from sut.serve.cluster import (\n    messages,\n    node,\n)", {"zmq"}),
        ("from tests.sut.video.sources.test_clip import read", {"av"}),
        ('pytest.importorskip("zmq")\nimport zmq', set()),
        ('import zmq\npytest.importorskip("zmq")', {"zmq"}),
        ('av = pytest.importorskip("av", reason="no")\nimport zmq', {"zmq"}),
        ("if TYPE_CHECKING:\n    import zmq", set()),
        ("def test_it():\n    import zmq", set()),
    ],
)
def test_what_a_module_needs_is_found(text: str, packages: set[str]) -> None:
    assert needed_by(text) == packages
