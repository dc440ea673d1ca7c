"""One pass of a clip after the other, out of frames that come without an end between them.

A camera's frames never end, so a clip that stands for one should not either: what decodes it would
have nothing under way at the end, and much to do for the first frame of the next pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sut.video.sources.base import ClipFacts

_SPREAD_S = 5.0  # of a clip, over which streams begin: what lies before has to be decoded, too
T = TypeVar("T")


def frames_before(facts: ClipFacts, share: float) -> int:
    """Return how many frames lie before a place in a clip, which is 0 to below 1; at most 5 s."""
    most = int(_SPREAD_S * facts.rate)
    return int(share * min(facts.frames or most, most))


class Passes(Generic[T]):
    """Frames of a clip, pass by pass. One thread at a time.

    Args:
        begin: yields frames from the clip's first one on, of one pass or of many.
        time_of: when a frame is shown in the clip, in any unit. One that is not after the frame
            before it begins a pass; one without a time does not. None: `begin` yields one pass,
            whose times may go back.
    """

    def __init__(
        self,
        begin: Callable[[], Generator[T, None, None]],
        time_of: Callable[[T], int | None] | None = None,
    ) -> None:
        self._begin, self._time_of = begin, time_of
        self._frames: Generator[T, None, None] | None = None
        self._held: T | None = None  # the first one of the next pass
        self._within = False

    def prepare(self) -> None:
        """Have the first frame at hand."""
        if self._frames is None:
            self._frames = self._begin()
            self._held = next(self._frames, None)

    def skip(self, frames: int) -> None:
        """Let the pass that comes begin so many frames later."""
        self.prepare()
        for _ in range(frames):
            assert self._frames is not None, "prepare begins"
            self._held = next(self._frames, None)

    def one(self) -> Iterator[T]:
        """Yield the frames of one pass, from the clip's first one on."""
        if self._within:  # the pass before was left in the middle
            self.close()
        self.prepare()
        assert self._frames is not None, "prepare begins"
        self._within, last = True, None
        item, self._held = self._held, None
        while item is not None:
            time = None if self._time_of is None else self._time_of(item)
            if time is not None:
                if last is not None and time <= last:
                    self._held, self._within = item, False
                    return
                last = time
            yield item
            item = next(self._frames, None)
        self.close()

    def close(self) -> None:
        """End what decodes. The next pass begins anew."""
        frames, self._frames, self._held, self._within = self._frames, None, None, False
        if frames is not None:
            frames.close()
