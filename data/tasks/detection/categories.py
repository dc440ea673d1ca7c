"""The category numbers of known data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Table = Literal["coco80"]

# COCO numbers its 80 categories from 1 to 90 and leaves ten numbers out (instances_val2017.json).
_ABSENT_IN_COCO = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})

TABLES: Mapping[str, tuple[int, ...]] = {
    "coco80": tuple(number for number in range(1, 91) if number not in _ABSENT_IN_COCO),
}
