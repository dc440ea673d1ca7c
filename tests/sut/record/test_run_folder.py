"""A run folder belongs to one run: it is claimed in one step, whatever other commands do."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.base.errors import ConfigError
from sut.base.files import held
from sut.record.run_folder import RunFolder, default_folder
from tests.sut.helpers import folders
from tests.sut.helpers.program import Program

WORDS = (
    *("run", "-b", "efficientnet-lite0", "-s", "SingleStream", "--backend", "null"),
    *("--min-duration-s", 0.1, "--min-query-count", 64),
)


@pytest.mark.parametrize("exists", [True, False])
def test_c3_a_folder_of_a_run_that_has_not_ended_is_refused(tmp_path: Path, exists: bool) -> None:
    out = tmp_path / "a" / "out"
    if exists:
        out.mkdir(parents=True)

    with RunFolder(out):
        with pytest.raises(ConfigError, match="in use by another command"), RunFolder(out):
            pytest.fail("two runs have one folder")
        assert out.is_dir()


def test_c3_a_folder_is_free_again_after_a_refused_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bad input"), RunFolder(tmp_path / "out"):
        raise ConfigError("bad input")

    with RunFolder(tmp_path / "out") as folder:
        folder.write_json("summary.json", {})

    assert folders.contents(tmp_path) == {"out", "out/summary.json"}


def test_c9_a_signal_before_the_test_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> None:
        with RunFolder(tmp_path / "out") as folder:
            folder.write_json("request.json", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert folders.contents(tmp_path) == set()


def test_an_interrupt_removes_nothing_that_a_search_measured(tmp_path: Path) -> None:
    def interrupted() -> None:
        with RunFolder(tmp_path / "out") as folder:
            folder.keep({"streams": 1})
            folder.keep({"streams": 2})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    kept = (tmp_path / "out" / "journal.jsonl").read_text("utf-8")
    assert kept == '{"streams": 1}\n{"streams": 2}\n'


def test_c3_a_default_folder_that_is_taken_gets_a_suffix(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "now"

    with default_folder(path) as first, default_folder(path) as second:
        (first / "summary.json").touch()
        (second / "summary.json").touch()

    assert (first, second) == (path, tmp_path / "runs" / "now-2")


def test_c3_a_default_folder_without_a_file_is_removed(tmp_path: Path) -> None:
    with default_folder(tmp_path / "runs" / "now") as folder:
        assert folder.is_dir()

    assert folders.contents(tmp_path) == set()


def test_c3_a_folder_is_held_by_one_command(tmp_path: Path) -> None:
    with (
        held(tmp_path, "--out"),
        pytest.raises(ConfigError, match="in use by another command"),
        held(tmp_path, "--out"),
    ):
        pytest.fail("two commands hold one folder")

    with held(tmp_path, "--out"):
        assert folders.contents(tmp_path) == set()


@pytest.mark.slow
def test_c3_one_of_two_runs_at_once_gets_the_folder(program: Program, tmp_path: Path) -> None:
    words = (*WORDS, "--out", tmp_path / "same")

    done = program.run_all({"one": words, "other": words}, tmp_path)

    good, refused = sorted(done.values(), key=lambda one: one.code)
    assert (good.code, refused.code) == (0, 2), (good.err, refused.err)
    assert len(refused.err.splitlines()) == 1
    assert folders.summary(tmp_path / "same")["samples"] == len(
        folders.batches(tmp_path / "same")["samples"]
    )


@pytest.mark.slow
def test_c3_runs_of_one_second_have_folders_of_their_own(program: Program, tmp_path: Path) -> None:
    with (
        program.start(*WORDS, cwd=tmp_path) as first,
        program.start(*WORDS, cwd=tmp_path) as second,
        program.start(*WORDS, cwd=tmp_path) as third,
    ):
        done = [running.finish() for running in (first, second, third)]

    assert [one.code for one in done] == [0, 0, 0], [one.err for one in done]
    found = [path.parent for path in tmp_path.glob("runs/*/summary.json")]
    assert len(found) == len(done)
    assert {one.out.splitlines()[-1] for one in done} == {
        f"Logs: {path.relative_to(tmp_path)}" for path in found
    }


@pytest.mark.parametrize("name", ["n" * 300, "link/out"])
def test_c1_a_folder_that_no_disk_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    with pytest.raises(ConfigError, match=r"--out: .*Name a writable"), RunFolder(tmp_path / name):
        pass
