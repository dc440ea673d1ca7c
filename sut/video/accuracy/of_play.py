"""The accuracy of a play: what its streams showed, kept and written, and judged against truths."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING

from data.tasks.detection.precision import check_installed
from sut.base.errors import ConfigError
from sut.video.accuracy.metrics import judge
from sut.video.accuracy.precision import mean_average_precision
from sut.video.accuracy.tracks import Tracks, read_tracks, write_tracks
from sut.video.track.package import package
from sut.video.track.presets import NONE
from sut.video.types import NO_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sut.video.flow.seen import Seen, Sink
    from sut.video.types import Boxes


class TrackKeeper:
    """Keeps the boxes of every frame, and hands the frames on. See sut.video.flow.seen.Sink.

    Args:
        sink: gets the frames.
        folder: for a file of each stream, tracks-000.txt and so on; None: nothing is written.
    """

    def __init__(self, sink: Sink, folder: Path | None) -> None:
        self._sink, self._folder = sink, folder
        self._frames: defaultdict[int, dict[int, Boxes]] = defaultdict(dict)
        self.sees_pixels = sink.sees_pixels
        self.sees_frames = True

    def frame(self, seen: Seen) -> None:
        """See Sink."""
        self._frames[seen.frame.stream][seen.frame.number] = seen.boxes
        self._sink.frame(seen)

    def close(self) -> list[str]:
        """See Sink."""
        names = self._sink.close()
        if self._folder is None:
            return names
        for stream, tracks in self.tracks().items():
            names.append(f"tracks-{stream:03}.txt")
            write_tracks(self._folder / names[-1], tracks)
        return names

    def tracks(self) -> dict[int, Tracks]:
        """Return what each stream showed; a stream without a frame is missing."""
        return {
            stream: Tracks(frames, max(frames) + 1)
            for stream, frames in sorted(self._frames.items())
        }


def read_truths(paths: Sequence[Path], clips: Sequence[str], tracker: str) -> list[Tracks]:
    """Read the truth of each clip, and make sure that accuracy can be computed here.

    Args:
        paths: of the files.
        clips: as they are played.
        tracker: of the play; without one there are no identities to judge.

    Raises:
        ConfigError: there are more or fewer files than clips, or a package is missing.
        DataError: a file holds no tracks.
    """
    if len(paths) != len(clips):
        raise ConfigError(
            f"--truth: {len(paths)} files for {len(clips)} clips; expected one for each, in their "
            "order."
        )
    if tracker != NONE:
        package("trackers")
    check_installed()
    return [read_tracks(path) for path in paths]


def accuracy_of(
    found: Mapping[int, Tracks], truths: Sequence[Tracks], streams: int
) -> dict[str, object] | None:
    """Return the accuracy of all streams together, as plain values.

    Args:
        found: by stream; one that is missing showed nothing.
        truths: stream k shows clip k, and so on round.
        streams: how many there were.

    Returns:
        None if the truths hold no object. The figures of identities are None if no box has one,
        as without a tracker.
    """
    pairs = [(truths[k % len(truths)], found.get(k, Tracks())) for k in range(streams)]
    precision = mean_average_precision(pairs)
    if precision is None:
        return None
    identities = any(
        (boxes.identity != NO_IDENTITY).any()
        for _, tracks in pairs
        for boxes in tracks.frames.values()
    )
    judged = judge(pairs) if identities else None
    return {"map": precision, "tracks": None if judged is None else asdict(judged)}
