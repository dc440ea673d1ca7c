"""Names of files that are not UTF-8: a run works with them, or says so in one line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.sut.helpers import folders, own
from tests.sut.helpers.program import Program

pytestmark = pytest.mark.slow

NAME = os.fsdecode(b"caf\xe9")
# So many that a machine which is faster than in its warm-up takes long enough, too.
MORE = ("-s", "Offline", "--min-duration-s", 0.1, "--min-query-count", 1, "--target-qps", 200_000)


@pytest.fixture
def benchmark(own_yaml: Path, tmp_path: Path) -> Path:
    """A benchmark without labels, one image of which has such a name, and so has its folder."""
    images = tmp_path / f"images-{NAME}"
    shutil.copytree(own_yaml.parent / own.IMAGES, images)
    (images / own.LABELS).unlink()
    (images / "image-03.png").rename(images / f"{NAME}.png")
    shutil.copy(own_yaml.parent / own.MODEL, tmp_path)
    return own.write_yaml(tmp_path / "own.yaml", dataset={"kind": "folder"})


@pytest.mark.parametrize("prefix", [(), ("env", "PYTHONIOENCODING=ascii")])
def test_c4_images_with_such_names_are_measured(
    program: Program, benchmark: Path, tmp_path: Path, prefix: tuple[str, ...]
) -> None:
    words = ("run", "-b", benchmark, *MORE, "--data", tmp_path / f"images-{NAME}", "--out", "out")
    with program.start(*words, cwd=tmp_path, before=prefix) as running:
        done = running.finish()

    assert done.code == 0, done.err
    assert folders.summary(tmp_path / "out")["valid"] is True
    assert "images-caf\ufffd" in folders.summary(tmp_path / "out")["command"]


@pytest.mark.parametrize("option", ["--out", "--model"])
def test_c4_other_paths_are_refused_in_one_line(
    program: Program, benchmark: Path, tmp_path: Path, option: str
) -> None:
    path = tmp_path / NAME
    if option == "--model":
        shutil.copy(tmp_path / own.MODEL, path)
    given = {"--out": tmp_path / "out", "--data": tmp_path / f"images-{NAME}", option: path}
    before = folders.contents(tmp_path)

    words = [word for pair in given.items() for word in pair]
    done = program.run("run", "-b", benchmark, *MORE, *words, cwd=tmp_path)

    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    assert "caf\\udce9" in line
    assert "not UTF-8" in line
    assert folders.contents(tmp_path) == before
