"""The lists of images that MLPerf publishes for calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from data.calibration import LISTS, list_names
from sut.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_mlperf_is_read_from_the_folder_of_the_images(tmp_path: Path, name: str) -> None:
    (tmp_path / LISTS[name]).write_text("a.JPEG\nb.JPEG\n", "ascii")

    assert list_names(tmp_path, name) == ["a.JPEG", "b.JPEG"]


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / LISTS["mlperf-1"]).touch()

    with pytest.raises(DataError, match="is empty"):
        list_names(tmp_path, "mlperf-1")
