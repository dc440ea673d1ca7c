"""The table of a sweep: written, read, refused."""

from __future__ import annotations

import pytest

from sut.base.errors import DataError
from sut.record import table
from sut.record.table import Row, Table

ROW = Row(point={"batch": 64}, figures={"samples_per_s": 9198.0}, windows=(9100.0, 9296.0))
TABLE = Table(
    title="TFT", source="sut sweep", load="offline", configuration={"GPU": "T4"}, rows=(ROW,)
)


def test_a_table_reads_back_as_it_was_written() -> None:
    assert table.decode(table.encode(TABLE), "table.json") == TABLE


def test_a_table_without_its_configuration_cannot_be_made() -> None:
    with pytest.raises(DataError, match="no configuration"):
        Table(title="TFT", source="sut sweep", load="offline", configuration={})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "table.json"),
        (b"[]", "table.json"),
        (b'{"title": "x"}', "table.json"),
        (b"\xff\xfe", "table.json"),
        (table.encode(TABLE).replace(b'"schema": 1', b'"schema": 99'), "schema 99"),
        (table.encode(TABLE).replace(b'"GPU": "T4"', b""), "table.json"),
    ],
)
def test_what_is_no_table_is_refused_with_its_path(text: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        table.decode(text, "table.json")
