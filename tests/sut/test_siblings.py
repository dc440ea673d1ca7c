"""The program finds its own packages first, whatever PYTHONPATH holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sut.helpers import folders

pytestmark = pytest.mark.slow

STARTS = {
    "console script": [str(Path(sys.executable).with_name("sut"))],
    "module": [sys.executable, "-m", "sut"],
}


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A folder with packages of the same names, which no process of the program may import."""
    folder = tmp_path / "strangers"
    for name in ("data", "backends", "scenarios"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(
            f"raise SystemExit('the stranger {name} was imported')\n", "utf-8"
        )
    return folder


@pytest.mark.parametrize("start", STARTS)
def test_c6_a_stranger_s_package_in_pythonpath_is_not_imported(
    strangers: Path, tmp_path: Path, start: str
) -> None:
    done = subprocess.run(
        [
            *(*STARTS[start], "run", "-b", "resnet50", "-s", "Offline", "--backend", "simulated"),
            *("--set", "base_ms=1", "--set", "power_w=70", "--workers", "process"),
            *("--min-duration-s", "0.1", "--out", str(tmp_path / "out")),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(strangers)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert folders.summary(tmp_path / "out")["valid"] is (done.returncode == 0)
    assert folders.summary(tmp_path / "out")["samples"] > 0
