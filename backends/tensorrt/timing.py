"""TensorRT's timing cache on disk. Knows no model and no plan."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from backends.tensorrt.library import Library

log = logging.getLogger(__name__)


class TimingCache:
    """Timings of tactics from earlier builds: the next build of a like layer need not measure.

    TensorRT-RTX chooses no tactics when it builds, so it has none.
    """

    def __init__(self, folder: Path, sm: int, library: Library) -> None:
        self._path = folder / f"timing-{library.version}-sm{sm}.cache"
        self._used = not library.is_rtx

    def load(self, config: Any) -> None:
        """Give the configuration what earlier builds measured."""
        if not self._used:
            return
        content = self._path.read_bytes() if self._path.is_file() else b""
        cache = config.create_timing_cache(content)
        if cache is None:  # damaged: it is only a cache
            log.warning("%s is damaged: it is made again", self._path)
            cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)

    def save(self, config: Any) -> None:
        """Keep what this build added."""
        if self._used:
            temporary = self._path.with_suffix(".tmp")
            temporary.write_bytes(bytes(config.get_timing_cache().serialize()))
            temporary.replace(self._path)
