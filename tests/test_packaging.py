"""The metadata, the locks, the wheel and the LoadGen types agree with the code."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import mlperf_loadgen
import pytest

import sut

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
PATTERNS: list[str] = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
PACKAGES = sorted({pattern.split(".")[0] for pattern in PATTERNS})
NOT_SHIPPED = ("build", "docs", "tests", "typings")
HEAVY = ("mlperf_loadgen", "onnx", "onnxruntime", "PIL", "tensorrt", "torch")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    """Return the canonical names in `requirements`, such as "numpy>=2"."""
    return {canonical(re.split(r"[ ;<>=!~\[]", line)[0]) for line in requirements}


def lock(name: str) -> dict[str, str]:
    """Return version by canonical name of requirements/NAME.txt; refuse any other kind of line."""
    versions = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if not line.startswith("#"):
            found = re.fullmatch(r"([\w.-]+)==(\d[\w.]*)", line)
            assert found, f"{name}.txt: {line!r} is not NAME==VERSION"
            versions[canonical(found[1])] = found[2]
    return versions


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of the files in a wheel that is built from a copy of the checkout."""
    source = tmp_path_factory.mktemp("source")
    target = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (built,) = target.glob(f"loadgen_sut-{sut.__version__}-*.whl")
    return set(zipfile.ZipFile(built).namelist())


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of_the_package(package: str, wheel: set[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files
    assert files <= wheel


@pytest.mark.slow
def test_the_wheel_holds_nothing_but_the_packages(wheel: set[str]) -> None:
    metadata = f"loadgen_sut-{sut.__version__}.dist-info"

    assert {name.split("/")[0] for name in wheel} == {*PACKAGES, metadata}


def test_every_folder_of_code_is_a_package_of_the_wheel() -> None:
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and path.name not in NOT_SHIPPED and not path.name.startswith(".")
    }

    assert {name for name in folders if any((ROOT / name).rglob("*.py"))} <= set(PACKAGES)


@pytest.mark.parametrize("module", ["sut", "sut.cli"])
def test_an_import_loads_no_heavy_library(module: str) -> None:
    script = f"import sys, {module}; print(*sorted(set(sys.modules) & {set(HEAVY)!r}))"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []


def test_the_run_lock_pins_every_dependency() -> None:
    assert names(PROJECT["dependencies"]) <= set(lock("run"))


def test_the_run_lock_pins_what_builds_the_program() -> None:
    assert names(PYPROJECT["build-system"]["requires"]) <= set(lock("run"))


def test_the_dev_lock_pins_the_tools_and_agrees_with_the_run_lock() -> None:
    dev = lock("dev")

    assert names(PROJECT["optional-dependencies"]["dev"]) <= set(dev)
    assert lock("run").items() <= dev.items()


def test_the_cluster_lock_pins_its_group_and_agrees_with_the_dev_lock() -> None:
    cluster, dev = lock("cluster"), lock("dev")

    assert set(cluster) == set(PYPROJECT["dependency-groups"]["cluster"])
    assert names(PROJECT["optional-dependencies"]["cluster"]) <= set(cluster)
    assert {name: dev[name] for name in set(cluster) & set(dev)}.items() <= cluster.items()


def test_the_asset_lock_is_the_asset_group() -> None:
    pinned = [f"{name}=={version}" for name, version in lock("assets").items()]

    assert sorted(pinned) == sorted(PYPROJECT["dependency-groups"]["assets"])


def test_the_loadgen_types_name_what_the_wheel_has() -> None:
    stub = ast.parse((ROOT / "typings" / "mlperf_loadgen.pyi").read_text())
    named = {node.name for node in stub.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    exported = {name for name in dir(mlperf_loadgen) if not name.startswith("_")}

    assert exported - named == {"VectorQuerySample", "VectorQuerySampleResponse"}
    assert named <= exported


@pytest.mark.parametrize(
    "name",
    ["LogOutputSettings", "LogSettings", "QuerySample", "QuerySampleResponse", "TestSettings"],
)
def test_the_loadgen_types_name_every_attribute(name: str) -> None:
    stub = ast.parse((ROOT / "typings" / "mlperf_loadgen.pyi").read_text())
    (found,) = (node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == name)
    fields = {
        node.target.id
        for node in found.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }

    attributes = {key for key in dir(getattr(mlperf_loadgen, name)) if not key.startswith("_")}

    assert fields == attributes - {"FromConfig"}
