"""An address that could not be opened: a stream of its own that ends at once, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base.errors import DataError
from sut.video.sources.address import without_passwords
from sut.video.sources.base import NETWORK_RATE, ClipFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.base.errors import ConfigError
    from sut.video.sources.base import Picture


class Absent:
    """A source without frames. See sut.video.sources.base.Source.

    Args:
        name: an address.
        error: why it is not open.
    """

    def __init__(self, name: str, error: ConfigError) -> None:
        self.facts = ClipFacts(without_passwords(name), "none", 0, 0, NETWORK_RATE, None, live=True)
        self.notes: list[str] = []
        self.error = error

    def pictures(self) -> Iterator[Picture]:
        """See Source; there are none.

        Raises:
            DataError: always.
        """
        raise DataError(str(self.error).removeprefix("--source "))

    def close(self) -> None:
        """See Source."""
