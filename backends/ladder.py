"""The ladder of an engine: which batch sizes it really runs, and which of them a batch takes. Pure.

An engine of CUDA graphs runs a few sizes. Every batch takes the time of the next one up.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import OptionValue

ANY = "any"
# The largest default sizes are halves of each other, down to this part of the largest; below, where
# a batch is short anyway, they are quarters.
_HALVES_TO = 8


def default_sizes(cap: int) -> tuple[int, ...]:
    """Return `cap`, its half, quarter and eighth, then quarters down to 1, ascending."""
    sizes, size = {1, cap}, cap
    while size > 1:
        size = max(1, size // (2 if size > cap // _HALVES_TO else 4))
        sizes.add(size)
    return tuple(sorted(sizes))


def read_sizes(text: str | int, cap: int, where: str) -> tuple[int, ...]:
    """Return the sizes in text such as "1,8,26", with `cap`; the default ones for no text.

    A single size may be a number: on a command line it looks like one.

    Raises:
        ConfigError: it is not a list of sizes from 1 to `cap`.
    """
    if text == "":
        return default_sizes(cap)
    sizes = {cap}
    for part in str(text).split(","):
        if not part.strip().isdecimal() or not 1 <= int(part) <= cap:
            raise ConfigError(
                f'{where}: option "graph_sizes" is "{text}"; expected batch sizes from 1 to '
                f"max_batch_size {cap}, such as 1,{cap}."
            )
        sizes.add(int(part))
    return tuple(sorted(sizes))


def within(options: Mapping[str, OptionValue], cap: int) -> dict[str, OptionValue]:
    """Return a backend's options without the sizes above `cap`."""
    kept = dict(options)
    if kept.get("graph_sizes", "") != "":
        sizes = str(kept["graph_sizes"]).split(",")
        kept["graph_sizes"] = ",".join(size for size in sizes if int(size) <= cap) or cap
    return kept


def sizes_text(sizes: Sequence[int]) -> str:
    """Return sizes as an option and as a fact: "1,8,26"; "any" for none."""
    return ",".join(map(str, sizes)) or ANY


def sizes_of(facts: Mapping[str, OptionValue]) -> tuple[int, ...]:
    """Return the ladder of an engine from its facts; empty: it runs every size."""
    text = str(facts.get("batch_sizes", ANY))
    return () if text == ANY else tuple(map(int, text.split(",")))


def fitting(sizes: Sequence[int], count: int) -> int:
    """Return the smallest of the ascending `sizes` that holds `count`; `count` for no sizes."""
    return sizes[bisect_left(sizes, count)] if sizes else count


def filled(sizes: Sequence[int], count: int) -> int:
    """Return the largest of the ascending `sizes` that `count` fills; 0 for none."""
    at = bisect_right(sizes, count)
    return sizes[at - 1] if at else 0
