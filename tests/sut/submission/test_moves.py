"""A tree is changed as a whole or not at all, wherever the moves are cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.submission.moves import NotUndoneError, move_in

# Of (source, target): two replace what is there, two make folders.
PAIRS = [
    ("code", "open/A/src/own"),
    ("offline", "open/A/results/x/Offline"),
    ("server", "open/A/results/x/Server"),
    ("system.json", "open/A/systems/x.json"),
]
RENAMES = 6  # one a pair, and one for each of the two that are replaced


def contents(folder: Path) -> dict[str, str | None]:
    """Return every path below `folder`; a file's with its text."""
    found = sorted(folder.rglob("*"))
    return {
        str(path.relative_to(folder)): path.read_text("utf-8") if path.is_file() else None
        for path in found
    }


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(tmp_path / "tree/open/A/results/x/Offline/log.txt", "old")
    write(tmp_path / "tree/open/A/systems/x.json", "old")
    write(tmp_path / "tree/open/Other/README.md", "of someone else")
    for name in ("code", "offline", "server"):
        write(tmp_path / "made" / name / "log.txt", f"new {name}")
    write(tmp_path / "made/system.json", "new")
    (tmp_path / "replaced").mkdir()
    return tmp_path / "tree"


class CutOff:
    """Renames, and raises before or after rename number `at`, once."""

    def __init__(self, error: BaseException, at: int, *, before: bool) -> None:
        self.error, self.at, self.before = error, at, before
        self.count = 0

    def __call__(self, source: Path, to: Path) -> None:
        self.count += 1
        if self.count == self.at and self.before:
            raise self.error
        source.rename(to)
        if self.count == self.at:
            raise self.error


def moves(tree: Path) -> list[tuple[Path, Path]]:
    return [(tree.parent / "made" / source, tree / target) for source, target in PAIRS]


def test_all_is_moved_and_what_was_there_is_set_aside(tree: Path) -> None:
    move_in(moves(tree), tree.parent / "replaced")

    assert {name: text for name, text in contents(tree).items() if text is not None} == {
        "open/A/src/own/log.txt": "new code",
        "open/A/results/x/Offline/log.txt": "new offline",
        "open/A/results/x/Server/log.txt": "new server",
        "open/A/systems/x.json": "new",
        "open/Other/README.md": "of someone else",
    }
    assert set(contents(tree.parent / "replaced").values()) == {"old", None}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", range(1, RENAMES + 1))
def test_a_cut_at_any_rename_leaves_the_tree_as_it_was(
    tree: Path, at: int, error: BaseException, before: bool
) -> None:
    tree_before, made_before = contents(tree), contents(tree.parent / "made")

    with pytest.raises(type(error)):
        move_in(moves(tree), tree.parent / "replaced", CutOff(error, at, before=before))

    assert contents(tree) == tree_before
    assert contents(tree.parent / "made") == made_before
    assert contents(tree.parent / "replaced") == {}


def test_a_tree_that_was_not_there_is_not_there_again(tree: Path) -> None:
    other = tree.parent / "new" / "tree"
    cut = CutOff(KeyboardInterrupt(), at=3, before=False)

    with pytest.raises(KeyboardInterrupt):
        move_in(
            [(source, other / to.relative_to(tree)) for source, to in moves(tree)],
            tree.parent / "replaced",
            cut,
        )

    assert not other.parent.exists()


def test_what_cannot_be_moved_back_is_kept_and_named(tree: Path) -> None:
    class Broken(CutOff):
        def __call__(self, source: Path, to: Path) -> None:
            if self.count >= self.at:
                raise OSError(5, "Input/output error", str(source))
            super().__call__(source, to)

    with pytest.raises(NotUndoneError, match="replaced; move it back by hand"):
        move_in(moves(tree), tree.parent / "replaced", Broken(OSError(5, "x"), 3, before=False))

    assert "old" in contents(tree.parent / "replaced").values()
