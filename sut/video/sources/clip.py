"""Clips and network streams, decoded by PyAV (FFmpeg) on the CPU.

A damaged packet costs its frames and is noted; the stream goes on. Knows no pace.
"""

from __future__ import annotations

import importlib.util
import time
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from sut.base.errors import ConfigError, DataError
from sut.video.sources.address import is_network, options_of, remedy, without_passwords
from sut.video.sources.arrivals import Arrivals
from sut.video.sources.base import NETWORK_RATE, ClipFacts, Picture, stalls
from sut.video.sources.passes import Passes, frames_before

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from numpy.typing import NDArray

    from sut.video.types import Size

_RATES_AGREE = 0.001
_FULL_TURN, _QUARTER_TURN = 360, 90
_LOOKED_AT = 64  # packets: some of them are decoded before they are shown, if any are
_MOST_SILENT = 64  # passes in a row without a frame, of a clip that may have one frame
_END_S = 1.0  # the sound of a stream may be longer than its frames


class Clip:
    """One opened clip. See sut.video.sources.base.Source.

    Args:
        name: a path or an address.
        threads: of the decoder; 0: as many as it likes.
        stall_s: how long a network may be silent.
        again: passes follow each other without an end between them; see sut.video.sources.passes.
        begin: where the first of such passes begins; see sut.video.sources.choose.open_source.

    Attributes:
        again: likewise, where packets say when their frames are shown.

    Raises:
        ConfigError: PyAV is not installed, or the clip cannot be opened.
    """

    def __init__(
        self,
        name: str,
        threads: int = 1,
        stall_s: float = 10.0,
        *,
        again: bool = False,
        begin: float | None = None,
    ) -> None:
        if importlib.util.find_spec("av") is None:
            raise ConfigError("sut video needs PyAV. Install it: pip install -e '.[video]'")
        import av  # noqa: PLC0415 - an extra

        self._address, self._name = name, without_passwords(name)
        self._threads, self._stall_s = threads, stall_s
        self._live = is_network(name)
        self._av: Any = av
        self.notes: list[str] = []
        self._damaged, self._length_s = 0, None
        self._container = self._open()
        rotation, timed = self._look()
        self.again = again and timed
        self.facts = self._read_facts(rotation)
        self._passes: Passes[tuple[Any, int | None]] = (
            Passes(self._unbroken, lambda one: one[0].pts) if self.again else Passes(self._decoded)
        )
        self._before = 0
        if self.again and begin is not None:
            self._skip(frames_before(self.facts, begin))

    def pictures(self) -> Iterator[Picture]:
        """See Source."""
        count, first_s, last_s = 0, None, -1.0
        # RTP has times of the sender; for other streams FFmpeg may make them up.
        arrivals, clocked = Arrivals(), self._name.startswith("rtsp")
        try:
            for frame, came_ns in self._passes.one():
                pts_s = frame.time
                if pts_s is None:
                    pts_s = last_s + 1 / self.facts.rate if count else 0.0
                first_s = pts_s if first_s is None else first_s
                last_s = max(pts_s - first_s, last_s)
                count += 1
                due_ns = arrivals.due_ns(last_s, came_ns) if clocked and came_ns else None
                made = _Upright(frame, self.facts.rotation)
                yield Picture(last_s, made, came_ns, due_ns, made.size, made.scaled)
        except self._av.error.ExitError as error:  # PyAV's timeout
            raise DataError(stalls(self._name, self._stall_s)) from error
        except self._av.error.FFmpegError as error:
            raise DataError(f"{self._name}: frame {count}: {_words(error)}.") from error
        self._check_end(count)
        if self._live and not self._name.startswith("http"):  # there, FFmpeg counts bytes
            self._check_whole(count, last_s + 1 / self.facts.rate, self._length_s)

    def close(self) -> None:
        """See Source."""
        self._passes.close()
        if self._container is not None:
            self._container.close()
            self._container = None

    def _skip(self, frames: int) -> None:
        try:
            self._passes.skip(frames)
            self._before = frames
        except self._av.error.FFmpegError:
            self._passes.close()  # the pass itself will name what is wrong

    def _decoded(self) -> Generator[tuple[Any, int | None], None, None]:
        """Yield the frames of one pass, and when their packets came over a network."""
        container = self._take()
        try:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = self._threads
            yield from self._frames_of(container.demux(stream), self._av.Packet.decode)
            self._length_s = container.duration and container.duration / self._av.time_base
        finally:
            container.close()

    def _unbroken(self) -> Generator[tuple[Any, int | None], None, None]:
        """Yield the frames of pass after pass; the decoder hears of no end."""
        decodes, silent = self._open(), 0
        try:
            decoder = decodes.streams.video[0].codec_context
            decoder.thread_count = self._threads
            for packets in self._again_and_again():
                silent += 1
                for decoded in self._frames_of(packets, decoder.decode):
                    yield decoded
                    silent = 0
                if silent == _MOST_SILENT:
                    return
        finally:
            decodes.close()

    def _again_and_again(self) -> Iterator[Iterable[Any]]:
        """Yield the packets of pass after pass. To seek takes less than to open the clip."""
        container, expected, sought = self._take(), None, False
        try:
            while True:
                packets = (packet for packet in container.demux(video=0) if packet.size)
                first = next(packets, None)
                found = first and (first.pts, first.size)
                if sought and found != expected:  # of some formats FFmpeg has no index
                    sought = False
                    container.close()
                    container = self._open()
                    continue
                if first is None:
                    return
                expected = found
                yield chain([first], packets)
                try:
                    container.seek(container.start_time or 0)
                    sought = True
                except self._av.error.FFmpegError:
                    container.close()
                    container = self._open()
        finally:
            container.close()

    def _frames_of(
        self, packets: Iterable[Any], decode: Callable[[Any], list[Any]]
    ) -> Iterator[tuple[Any, int | None]]:
        broken = 0
        for packet in packets:
            came_ns = time.monotonic_ns() if self._live else None
            try:
                frames = decode(packet)
            except self._av.error.InvalidDataError:
                broken += 1
                continue
            for frame in frames:
                broken += bool(frame.is_corrupt)
                yield frame, came_ns
        self._note_damage(broken)

    def _take(self) -> Any:
        container, self._container = self._container or self._open(), None
        return container

    def _open(self) -> Any:
        began_s = time.monotonic()
        try:
            container = self._av.open(
                self._address,
                timeout=self._stall_s if self._live else None,
                options=options_of(self._address),
            )
        except (OSError, self._av.error.FFmpegError) as error:
            words, help_ = _words(error), "Name a clip that FFmpeg can read."
            if self._live:
                if time.monotonic() - began_s >= self._stall_s:  # FFmpeg has other words for it
                    words = f"no answer for {self._stall_s:g} s"
                help_ = remedy(words)
            raise ConfigError(f"--source {self._name}: {words}. {help_}") from error
        if not container.streams.video:
            container.close()
            raise ConfigError(f"--source {self._name}: it has no video. Name a clip with frames.")
        return container

    def _read_facts(self, rotation: int) -> ClipFacts:
        stream = self._container.streams.video[0]
        size = (stream.width, stream.height)
        width, height = size[::-1] if rotation % (2 * _QUARTER_TURN) else size
        average = float(stream.average_rate or stream.guessed_rate or 0)
        nominal = float(stream.guessed_rate or average)
        if not (width and height):
            raise ConfigError(f"--source {self._name}: no frame of it can be decoded.")
        return ClipFacts(
            name=self._name,
            codec=stream.codec_context.name,
            width=width,
            height=height,
            rate=average or NETWORK_RATE,
            frames=stream.frames or None,
            rotation=rotation,
            variable=abs(average - nominal) > _RATES_AGREE * max(average, nominal),
            live=self._live,
            decoder=f"PyAV {self._av.__version__} on the CPU, "
            f"{self._threads or 'automatic'} thread(s) a stream",
        )

    def _look(self) -> tuple[int, bool]:
        """Return what only frames and packets of a file know.

        Returns:
            The turn that makes frames upright, in degrees; and whether packets tell when their
            frames are shown. Of some containers FFmpeg has no times, or those of decoding.
        """
        if self._live:
            return 0, False
        frame, times, reorders = None, [], False
        with self._open() as container, suppress(self._av.error.FFmpegError):
            # The stream itself will name what is wrong.
            stream = container.streams.video[0]
            packets = list(islice(container.demux(stream), _LOOKED_AT))
            times = [packet.pts for packet in packets if packet.size]
            reorders = stream.codec_context.has_b_frames
            frame = next(chain.from_iterable(map(stream.decode, packets)), None)
        turn = round(getattr(frame, "rotation", 0) / _QUARTER_TURN) * _QUARTER_TURN
        timed = bool(times) and None not in times and (not reorders or times != sorted(times))
        return turn % _FULL_TURN, timed

    def _check_end(self, count: int) -> None:
        if not count:
            raise DataError(f"{self._name}: not one frame can be decoded.")
        declared, before = self.facts.frames, self._before
        self._before = 0
        if declared is not None and count + before < declared:
            self._note(f"{self._name}: it ended after {count + before} of {declared} frames")

    def _check_whole(self, count: int, played_s: float, length_s: float | None) -> None:
        """Raise DataError if the server ended a stream early; FFmpeg calls each end the same."""
        if length_s is None:
            raise DataError(
                f"{self._name}: the server ended the stream after frame {count}, and had not said "
                "how long it is. See its log, or end the play before by --duration-s."
            )
        if played_s < length_s - _END_S:
            raise DataError(
                f"{self._name}: the server went away after {played_s:.2f} of {length_s:.2f} s, "
                f"{count} frames. See its log and the network."
            )

    def _note_damage(self, broken: int) -> None:
        if broken > self._damaged:
            says = "{}: {} packets or frames are damaged".format
            self.notes = [n for n in self.notes if n != says(self._name, self._damaged)]
            self._damaged = broken
            self._note(says(self._name, broken))

    def _note(self, line: str) -> None:
        if line not in self.notes:  # a clip that is repeated says it each time
            self.notes.append(line)


# Left to itself, FFmpeg starts a thread a core for each frame, and each stream has its own reader.
_SCALERS = 1


class _Upright:
    """Makes the RGB pixels of a frame of FFmpeg."""

    __slots__ = ("_frame", "_turns")

    def __init__(self, frame: Any, rotation: int) -> None:
        self._frame = frame
        self._turns = rotation // _QUARTER_TURN

    @property
    def size(self) -> Size:
        """Width and height, upright."""
        return self._turned((self._frame.width, self._frame.height))

    def __call__(self) -> NDArray[np.uint8]:
        whole = self._frame.reformat(format="rgb24", threads=_SCALERS)
        return self._upright(whole.to_ndarray())

    def scaled(self, size: Size) -> NDArray[np.uint8]:
        """Return the frame of this size: FFmpeg scales YUV, and makes RGB of few pixels only."""
        width, height = self._turned(size)
        shrinks = width <= self._frame.width and height <= self._frame.height
        how = "AREA" if shrinks else "BILINEAR"
        small = self._frame.reformat(width, height, "rgb24", interpolation=how, threads=_SCALERS)
        return self._upright(small.to_ndarray())

    def _turned(self, size: Size) -> Size:
        return (size[1], size[0]) if self._turns % 2 else size

    def _upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.rot90(image, self._turns)) if self._turns else image


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
