"""The shape of the repository: rooms, sizes, and tests that test something."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGES = ("sut", "backends", "scenarios", "data")
FILE_LINES = 350
FUNCTION_LINES = 60
Function = ast.FunctionDef | ast.AsyncFunctionDef


def code_files() -> Iterator[tuple[str, str]]:
    """Yield path and text of every module that is shipped."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def test_no_file_is_too_long() -> None:
    long = {name for name, text in code_files() if len(text.splitlines()) > FILE_LINES}

    assert long == set()


def test_no_function_is_too_long() -> None:
    long = {
        f"{name}:{node.name}"
        for name, text in code_files()
        for node in functions(ast.parse(text))
        if (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES
    }

    assert long == set()


# --- rooms


# Modules that break the contracts, with what they import.
SPOILT = {
    "sut/stray.py": "",
    "sut/apart/__init__.py": "",
    "sut/base/up.py": "import sut.record",
    "sut/load/up.py": "import sut.run",
    "data/up.py": "import sut.load",
}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `lint-imports` says of a copy of the checkout with the spoilt modules in it."""
    root = tmp_path_factory.mktemp("rooms")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "pyproject.toml", root)
    for name, text in SPOILT.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f'"""Spoilt."""\n\n{text}\n', "utf-8")
    script = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; lint_imports_command()", "--no-logo", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("stray", ["sut.stray", "sut.apart"])
def test_a_module_outside_every_room_breaks_the_contract(findings: str, stray: str) -> None:
    assert stray in findings


@pytest.mark.parametrize(
    "line", ["sut.base.up -> sut.record", "sut.load.up -> sut.run", "data.up -> sut.load"]
)
def test_an_import_upwards_breaks_the_contract(findings: str, line: str) -> None:
    assert line in findings


def test_only_the_command_line_lies_outside_a_room() -> None:
    flat = {path.name for path in (ROOT / "sut").glob("*.py")}

    assert flat == {"__init__.py", "__main__.py", "cli.py"}


def test_every_room_has_a_folder_of_tests_with_its_name() -> None:
    rooms = {path.parent.name for path in (ROOT / "sut").glob("*/__init__.py")}
    tested = {path.parent.name for path in (ROOT / "tests" / "sut").glob("*/test_*.py")}

    assert tested == rooms


# --- tests


@dataclass(frozen=True, slots=True)
class Module:
    """A module of tests: its functions by name, and what it takes from other modules of tests.

    Attributes:
        functions: the bodies of functions and methods of that name.
        imported: (module, name) by the name here; the name is empty for a whole module.
    """

    functions: dict[str, list[Function]]
    imported: dict[str, tuple[str, str]]


def module_of(text: str) -> Module:
    tree = ast.parse(text)
    found: dict[str, list[Function]] = {}
    for node in functions(tree):
        found.setdefault(node.name, []).append(node)
    imported = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests")
        for alias in node.names
    }
    return Module(found, imported)


def called(call: ast.Call, here: str, modules: dict[str, Module]) -> tuple[str, str]:
    """Return module and name of the function of the tests that is called; empty for others."""
    known = modules[here]
    if isinstance(call.func, ast.Name):
        name = call.func.id
        return known.imported.get(name, (here, name))
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        owner, name = call.func.value.id, call.func.attr
        if owner in {"self", "cls"}:
            return here, name
        if owner in known.imported:
            package, inner = known.imported[owner]
            return f"{package}.{inner}", name
    return "", ""


def checks(function: Function, here: str, modules: dict[str, Module], seen: set[str]) -> bool:
    """Say whether a function asserts or expects an error, itself or in a function of the tests."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name.startswith("assert_") or name in {"raises", "warns"}:
            return True
        module, name = called(node, here, modules)
        key = f"{module}:{name}"
        if key in seen or module not in modules:
            continue
        seen.add(key)
        bodies = modules[module].functions.get(name, [])
        if any(checks(body, module, modules, seen) for body in bodies):
            return True
    return False


def idle_tests(modules: dict[str, Module]) -> list[str]:
    """Return the tests that can fail only by accident."""
    return [
        f"{name}:{function.name}"
        for name, module in modules.items()
        for bodies in module.functions.values()
        for function in bodies
        if function.name.startswith("test_") and not checks(function, name, modules, set())
    ]


def test_every_test_asserts_or_expects_an_error() -> None:
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): module_of(path.read_text("utf-8"))
        for path in (ROOT / "tests").rglob("*.py")
    }

    assert idle_tests(modules) == []


@pytest.mark.parametrize(
    ("body", "idle"),
    [
        ("assert 1", False),
        ("with pytest.raises(ValueError): int('')", False),
        ("numpy.testing.assert_allclose(1, 1)", False),
        ("checker()", False),
        ("print(1)", True),
        ("idler()", True),
        ("other.checker()", True),
    ],
)
def test_a_test_without_a_check_is_found(body: str, idle: bool) -> None:
    text = f"def checker(): assert 1\ndef idler(): idler()\ndef test_it():\n    {body}\n"

    assert idle_tests({"tests.test_it": module_of(text)}) == ["tests.test_it:test_it"] * idle


def test_every_helper_of_the_tests_is_imported() -> None:
    texts = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")]
    for_people = ("tests/benchmarks", "tests/detect", "tests/sut/submission/extra")  # `make` runs
    helpers = {
        path.stem
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith(("test_", "conftest"))
        and not path.relative_to(ROOT).as_posix().startswith(for_people)
    }

    unused = {name for name in helpers if not any(imports(text, name) for text in texts)}

    assert unused == set()


def imports(text: str, name: str) -> bool:
    """Say whether a module imports a module of tests of that name, or runs it with `python -m`."""
    return any(
        line.strip().startswith("from tests")
        and (f".{name} import" in line or f"import {name}" in line or f", {name}" in line)
        for line in text.splitlines()
    ) or (f'.{name}"' in text and "tests." in text)
