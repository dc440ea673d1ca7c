"""Where generated files go, and what happens if they cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sut.base.errors import ConfigError
from sut.base.files import (
    first_writable,
    make_folder,
    temporary_folder,
    write_whole,
    writing_to,
)


def test_c2_the_variable_decides_where_the_cache_is(tmp_path: Path) -> None:
    variables = {"SUT_CACHE_DIR": str(tmp_path / "mine"), "XDG_CACHE_HOME": "/elsewhere"}

    assert first_writable(variables, tmp_path / "checkout" / ".cache") == tmp_path / "mine"


def test_c2_a_relative_variable_starts_at_the_current_folder() -> None:
    assert first_writable({"SUT_CACHE_DIR": "mine"}, Path("/x")) == Path.cwd() / "mine"


def test_c2_the_checkout_s_own_cache_comes_before_the_user_s(tmp_path: Path) -> None:
    beside = tmp_path / "checkout" / ".cache"

    assert first_writable({"XDG_CACHE_HOME": "/elsewhere"}, beside) == beside


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_CACHE_HOME": "/caches", "HOME": "/home/me"}, "/caches/loadgen-sut"),
        ({"HOME": "/home/me"}, "/home/me/.cache/loadgen-sut"),
    ],
)
def test_c2_the_user_s_cache_serves_where_the_checkout_cannot_be_written(
    tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    (tmp_path / "checkout").write_text("not a folder", "utf-8")

    found = first_writable(variables, tmp_path / "checkout" / ".cache")

    assert found == Path(expected)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_c1_what_the_disk_refuses_names_the_cache_and_the_remedy(
    tmp_path: Path, number: int
) -> None:
    def refused() -> None:
        with temporary_folder(tmp_path / "cache"):
            raise OSError(number, "refused")

    with pytest.raises(ConfigError, match=r"cache cannot be written: refused.*SUT_CACHE_DIR"):
        refused()

    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", ["link/cache", "loop/cache", "n" * 300])
def test_c2_a_cache_that_no_disk_can_hold_names_the_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    with (
        pytest.raises(ConfigError, match=r"the cache cannot be written.*Set SUT_CACHE_DIR"),
        temporary_folder(tmp_path / name),
    ):
        pass


@pytest.mark.parametrize("name", ["file/out", "link", "n" * 300])
def test_c1_a_folder_that_cannot_be_made_names_its_option(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    with pytest.raises(ConfigError, match=r"--out: .* cannot be written: .* Name a writable"):
        make_folder(tmp_path / name, "--out")


def test_c2_an_error_about_another_file_stays_as_it_is(tmp_path: Path) -> None:
    def refused() -> None:
        with writing_to(tmp_path / "cache"):
            raise PermissionError(errno.EACCES, "refused", "/data/image.png")

    with pytest.raises(PermissionError, match="refused"):
        refused()


def test_files_are_written_together_and_replace_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before", "utf-8")

    write_whole({tmp_path / "a": "1", tmp_path / "new" / "b": "2"})

    found = {p.name: p.read_text("utf-8") for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"a": "1", "b": "2"}


def test_nothing_is_written_where_one_file_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before", "utf-8")

    with pytest.raises(OSError, match="File exists"):
        write_whole({tmp_path / "new" / "b": "2", tmp_path / "a": "1", tmp_path / "a" / "c": "3"})

    assert [p.name for p in tmp_path.rglob("*")] == ["a"]
    assert (tmp_path / "a").read_text("utf-8") == "before"


def test_a_signal_right_after_a_folder_was_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def interrupted(path: str | Path, *more: int) -> None:
        make(path, *more)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path):
        pytest.fail("interrupted before")
    assert not list(tmp_path.iterdir())
