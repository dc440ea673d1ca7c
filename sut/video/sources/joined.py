"""A clip many times in one: what plays it again and again need not begin anew.

Packets are copied, nothing is encoded. The file has no name and goes with its process.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import OutputContainer

_LARGEST_BYTES = 256 << 20


@cache
def joined(path: str, passes: int) -> str | None:
    """Return the path of a file that has so many passes of a clip's pictures; None: it cannot be.

    It stays as long as this process. A clip that does not begin with a whole picture, or whose
    codec does not go into MP4, is not joined.

    Args:
        path: of the clip.
        passes: one or more.
    """
    import av  # noqa: PLC0415 - an extra

    if passes * Path(path).stat().st_size > _LARGEST_BYTES:
        return None
    file = os.memfd_create("sut-clip")
    target = f"/proc/self/fd/{file}"
    try:
        with av.open(target, "w", format="mp4") as container:
            _copy(path, container, passes)
    except (av.FFmpegError, ValueError):
        os.close(file)
        return None
    return target


def _copy(path: str, container: OutputContainer, passes: int) -> None:
    import av  # noqa: PLC0415 - an extra

    into, offset, after = None, 0, 0
    for _ in range(passes):
        first = True
        with av.open(path) as source:
            video = source.streams.video[0]
            into = into or container.add_stream_from_template(video)
            for packet in source.demux(video):
                if packet.pts is None or packet.dts is None:
                    continue  # the empty one at the end
                if first and not packet.is_keyframe:
                    raise ValueError("it does not begin with a whole picture")
                first = False
                after = max(after, offset + packet.pts + (packet.duration or 1))
                packet.pts += offset
                packet.dts += offset
                packet.stream = into
                container.mux(packet)
        offset = after
