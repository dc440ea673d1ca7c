"""The fuzzer itself, with few files: it reads each kind, and notices what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.base.errors import DataError
from tests.extras import needs_pycocotools
from tests.fuzz.files import fuzz
from tests.fuzz.readers import Kind, kinds, make_images

KINDS = {kind.name: kind for kind in kinds()}
NAMES = [
    pytest.param(name, marks=needs_pycocotools) if name == "accuracy log of boxes" else name
    for name in KINDS
]
COUNT = 15


def read(raises: Exception | None = None, ignored: tuple[str, ...] = ()) -> Kind:
    """Return a kind of file whose reader does something wrong."""

    def act(path: Path) -> list[str]:
        if raises is not None:
            raise raises
        return list(ignored)

    return Kind("own", b"text", act, "own.txt")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_is_read(tmp_path: Path, name: str) -> None:
    make_images(tmp_path)

    ends, wrong = fuzz(KINDS[name], COUNT, tmp_path)

    assert wrong == []
    assert ends.total() == ends["accepted"] + ends["refused"] == COUNT


@pytest.mark.parametrize("name", NAMES)
def test_the_file_that_is_mutated_is_good(tmp_path: Path, name: str) -> None:
    make_images(tmp_path)
    kind = KINDS[name]
    path = tmp_path / kind.file
    path.write_bytes(kind.good)

    assert kind.read(path) == []


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (read(ValueError("oh")), "ValueError: oh"),
        (read(DataError("two\nlines")), "several lines"),
        (read(ignored=("key",)), "accepted and ignored"),
    ],
)
def test_what_a_reader_does_wrong_is_noticed(tmp_path: Path, kind: Kind, says: str) -> None:
    ends, wrong = fuzz(kind, 3, tmp_path)

    assert ends["wrong"] == 3
    assert says in wrong[0]
