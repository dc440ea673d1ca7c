"""Which batch sizes to make graphs for, and which of them a batch takes. Pure."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


def default_sizes(cap: int) -> tuple[int, ...]:
    """Return powers of two, three quarters of `cap`, and `cap`, ascending.

    The last steps are small because that is where the batches of a busy server lie.
    """
    sizes = {1, max(1, cap * 3 // 4), cap}
    size = 2
    while size < cap:
        sizes.add(size)
        size *= 2
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


def fitting(sizes: Sequence[int], count: int) -> int:
    """Return the smallest of the ascending `sizes` that holds `count`; `count` for no sizes."""
    return sizes[bisect_left(sizes, count)] if sizes else count
