"""From what the user names to sources: files, folders, addresses, and how they are decoded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sut.base.environment import cores
from sut.base.errors import ConfigError
from sut.video.sources.absent import Absent
from sut.video.sources.address import is_network
from sut.video.sources.base import NETWORK_RATE
from sut.video.sources.clip import Clip
from sut.video.sources.images import SUFFIXES, Images
from sut.video.sources.memory import Frames, decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.video.sources.base import Source

Decode = Literal["cpu", "nvdec", "memory"]
DECODES: tuple[Decode, ...] = ("cpu", "nvdec", "memory")
_VIDEOS = frozenset(
    {".mp4", ".mkv", ".avi", ".mov", ".webm", ".ts", ".m4v", ".mpg", ".mpeg", ".h264", ".h265"}
)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How clips are decoded.

    Attributes:
        decode: "cpu" by PyAV, "nvdec" by PyNvVideoCodec, "memory": before the play, once a clip.
        threads: of PyAV's decoder of each stream; 0: as many as it likes.
        device: of NVDEC, a number of CUDA.
        memory_bytes: for the frames of a clip in memory.
        stall_s: how long a network may be silent.
        again: clips are played again and again, each pass joined to the next; see
            sut.video.sources.passes.
        spread: streams of such clips begin at different places, as cameras do. Else those of the
            same clip would decode the same large frame at the same time.
    """

    decode: Decode = "cpu"
    threads: int = 1
    device: int = 0
    memory_bytes: int = 1 << 30
    stall_s: float = 10.0
    again: bool = False
    spread: bool = False


def clips_of(named: Sequence[str]) -> list[str]:
    """Return the clips of what the user named: the videos of a folder each count.

    Raises:
        ConfigError: nothing is named, or a folder holds neither videos nor images.
    """
    if not named:
        raise ConfigError("--source: no clip; expected a file, a folder, or an address.")
    found: list[str] = []
    for name in named:
        path = Path(name)
        if is_network(name) or not path.is_dir():
            if not is_network(name) and not path.is_file():
                raise ConfigError(f"--source {name}: no such file or folder. Name a clip.")
            found.append(name)
            continue
        videos = sorted(file for file in path.iterdir() if file.suffix.lower() in _VIDEOS)
        found += map(str, videos) if videos else [str(path)]
        if not videos and not _images(path):
            raise ConfigError(f"--source {name}: it holds neither videos nor images.")
    return found


def open_sources(clips: Sequence[str], streams: int, how: Decoding) -> list[Source]:
    """Open a source for each stream; stream k plays clip k, and so on round.

    An address that cannot be opened is a stream that ends with the reason, unless all are.

    Raises:
        ConfigError: a clip cannot be opened, or no address.
        DataError: a clip cannot be decoded into memory.
    """
    opened = open_each(names_of(clips, streams), how, shares_of(streams, how))
    absent = [source for source in opened if isinstance(source, Absent)]
    if absent and len(absent) == len(opened):
        for source in opened:
            source.close()
        raise absent[0].error
    return opened


def names_of(clips: Sequence[str], streams: int) -> list[str]:
    """Return the clip of each stream."""
    return [clips[stream % len(clips)] for stream in range(streams)]


def shares_of(streams: int, how: Decoding) -> list[float]:
    """Return where in its clip each stream begins, from 0 to below 1; nothing: all at its begin."""
    return [stream / streams for stream in range(streams)] if how.again and how.spread else []


def open_each(names: Sequence[str], how: Decoding, shares: Sequence[float] = ()) -> list[Source]:
    """Open a source for each name; an address that cannot be opened is a stream that says so.

    Args:
        names: of the clips.
        how: they are decoded.
        shares: see shares_of.

    Raises:
        ConfigError: a clip cannot be opened.
        DataError: a clip cannot be decoded into memory.
    """
    if how.decode == "memory":
        kept: dict[str, Frames] = {}
        for name in names:
            if name not in kept:
                kept[name] = decoded(open_source(name, replace(how, again=False)), how.memory_bytes)
        return [kept[name].again() for name in names]
    reached = iter(_reach([name for name in names if is_network(name)], how))
    wanted = zip(names, shares or repeat(0.0), strict=False)
    try:
        files = iter(_open_files([one for one in wanted if not is_network(one[0])], how))
    except BaseException:
        for source in reached:
            source.close()
        raise
    return [next(reached if is_network(name) else files) for name in names]


def _open_files(files: Sequence[tuple[str, float]], how: Decoding) -> list[Source]:
    """Open files, and bring each to where it begins.

    As many at once as there are cores: to come to a place in a clip takes decoding. Not so with
    NVDEC, whose driver makes one decoder after the other.

    Raises:
        ConfigError: one cannot be opened; none is open then.
    """

    def tried(one: tuple[str, float]) -> Source | Exception:
        name, share = one
        try:
            return open_source(name, how, share)
        except Exception as error:  # noqa: BLE001 - raised again below
            return error

    at_once = 1 if how.decode == "nvdec" else min(len(files), cores())
    if at_once > 1:
        with ThreadPoolExecutor(at_once, "open") as pool:
            found = list(pool.map(tried, files))
    else:
        found = list(map(tried, files))
    opened = [source for source in found if not isinstance(source, Exception)]
    for error in found:
        if isinstance(error, Exception):
            for source in opened:
                source.close()
            raise error
    return opened


def _reach(addresses: Sequence[str], how: Decoding) -> list[Source]:
    """Open addresses at the same time: those that answer do not wait for those that do not."""

    def reach(address: str) -> Source:
        try:
            return open_source(address, how)
        except ConfigError as error:
            return Absent(address, error)

    if not addresses or how.decode == "memory":
        return []
    with ThreadPoolExecutor(len(addresses), "open") as pool:
        return list(pool.map(reach, addresses))


def open_source(name: str, how: Decoding, begin: float | None = None) -> Source:
    """Open one clip.

    Args:
        name: of the clip.
        how: it is decoded.
        begin: where in the clip, from 0 to below 1; its first frame is soon due. None: nobody
            plays it yet.

    Raises:
        ConfigError: it cannot be opened.
    """
    path = Path(name)
    if not is_network(name) and path.is_dir():
        return Images(path, _images(path))
    if how.decode == "nvdec":
        from sut.video.sources.nvdec import Nvdec  # noqa: PLC0415 - an extra

        return Nvdec(name, how.device, begin=begin, again=how.again)
    return Clip(name, how.threads, how.stall_s, again=how.again, begin=begin)


def first_rate(clips: Sequence[str], how: Decoding) -> float:
    """Open every clip once and return the rate of the first, frames a second.

    Raises:
        ConfigError: a clip cannot be opened. Addresses are opened by their streams alone.
    """
    rates = []
    for name in dict.fromkeys(clips):
        if is_network(name):
            continue
        source = open_source(name, how)
        rates.append(source.facts.rate)
        source.close()
    return rates[0] if rates else NETWORK_RATE


def _images(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
