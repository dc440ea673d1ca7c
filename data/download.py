"""Downloads a file with a checksum: resumes after a break, and keeps only the right file.

Uses only the standard library.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, DataError
from sut.base.files import is_full, writing_to

if TYPE_CHECKING:
    import http.client
    import urllib.error
    from collections.abc import Callable
    from pathlib import Path

    from sut.base.progress import Progress

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 18
_OK, _PARTIAL, _RANGE_REFUSED = 200, 206, 416
# Worth another try: timeout, too many requests, and server errors.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


class _BrokenOffError(Exception):
    """An attempt ended early, and another attempt may succeed; the text says why it ended."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file has to be.

    Attributes:
        sha256: in hexadecimal.
        md5: in hexadecimal, if no SHA-256 is published.
        size_bytes: of the whole file.
    """

    sha256: str | None = None
    md5: str | None = None
    size_bytes: int | None = None

    @property
    def has_checksum(self) -> bool:
        """Whether the content can be checked, and not the size alone."""
        return bool(self.sha256 or self.md5)

    def fault(self, path: Path) -> str | None:
        """Say what is wrong with the file at `path`; None if nothing is."""
        size = path.stat().st_size
        if self.size_bytes is not None and size != self.size_bytes:
            return f"has {size} bytes; expected {self.size_bytes}"
        for name, expected in (("sha256", self.sha256), ("md5", self.md5)):
            if not expected:
                continue
            with path.open("rb") as file:
                found = hashlib.file_digest(file, name).hexdigest()
            if found != expected:
                return f"{name} is {found}; expected {expected}"
        return None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download is tried.

    Attributes:
        attempts: in a row without a new byte.
        timeout_s: without a byte, of one attempt.
        pause: waits this many seconds before another attempt.
    """

    attempts: int = 4
    timeout_s: float = 30.0
    pause: Callable[[float], None] = time.sleep


def download(
    url: str,
    target: Path,
    expected: Expected,
    patience: Patience = Patience(),
    progress: Progress | None = None,
) -> Path:
    """Make `target` the file at `url`; return it. A correct file that already exists is kept.

    Bytes go into `target` + ".part", from which the next attempt or the next call continues.

    Args:
        url: http or https.
        target: written by renaming, so that it is never half a file.
        expected: the file is kept only if it is this one.
        patience: how long to try.
        progress: called with (bytes, all bytes).

    Raises:
        ConfigError: no checksum, no http URL, or no room.
        DataError: the server refuses, all attempts failed, or the file is not the expected one and
            was deleted.
    """
    if not expected.has_checksum:
        raise ConfigError(f"{url}: has no checksum; expected sha256 or md5 to check it against.")
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url}: cannot be downloaded; expected an http or https URL.")
    if target.is_file() and expected.fault(target) is None:
        return target
    part = target.with_name(f"{target.name}.part")
    transfer = _Transfer(url, part, expected.size_bytes, patience.timeout_s, progress)
    with writing_to(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_all(transfer, patience)
    if reason := expected.fault(part):
        part.unlink()
        raise DataError(
            f"{url}: {reason}. The download was deleted: the file has changed or was damaged."
        )
    part.replace(target)
    return target


class _Transfer:
    """One download: source, target and progress."""

    def __init__(
        self,
        url: str,
        part: Path,
        size_bytes: int | None,
        timeout_s: float,
        progress: Progress | None,
    ) -> None:
        self.url = url
        self.part = part
        self.size_bytes = size_bytes
        self.timeout_s = timeout_s
        self.progress = progress

    def done_bytes(self) -> int:
        """Return how much of the file lies in `part`."""
        return self.part.stat().st_size if self.part.exists() else 0

    def attempt(self) -> None:
        """Request the missing bytes and append them.

        Raises:
            DataError: the server refuses permanently.
            OSError: the disk is full.
            _BrokenOffError: the connection failed or ended early.
        """
        import http.client  # noqa: PLC0415 - a tenth of the start of every command, for a rare step
        import urllib.error  # noqa: PLC0415
        import urllib.request  # noqa: PLC0415

        done = self.done_bytes()
        request = urllib.request.Request(self.url, headers={"Accept-Encoding": "identity"})
        if done:
            request.add_header("Range", f"bytes={done}-")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                self._receive(response, done)
        except urllib.error.HTTPError as error:
            self._refused(error, done)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and is_full(error):
                raise
            reason = getattr(error, "reason", error)  # urllib wraps the cause in brackets
            raise _BrokenOffError(str(reason) or type(error).__name__) from error

    def _receive(self, response: http.client.HTTPResponse, done: int) -> None:
        start = _range_start(response) if response.status == _PARTIAL else 0
        if start != done:
            # A server without Range sends the whole file. Do not trust one that sends another
            # range.
            self.part.unlink(missing_ok=True)
            if start:
                raise _BrokenOffError(f"sent bytes from {start}; expected from {done}")
        total = None if response.length is None else start + response.length
        with self.part.open("ab") as file:
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                if self.size_bytes is not None and file.tell() > self.size_bytes:
                    break  # the check of the size says so
                if self.progress:
                    self.progress(file.tell(), total)
        if total is not None and self.done_bytes() < total:
            raise _BrokenOffError(f"ended after {self.done_bytes()} of {total} bytes")

    def _refused(self, error: urllib.error.HTTPError, done: int) -> None:
        """Turn an HTTP error into ours; a range beyond the end means that the part is whole."""
        if error.code == _RANGE_REFUSED and done:
            if error.headers.get("Content-Range", "").endswith(f"/{done}"):
                return
            self.part.unlink()
            raise _BrokenOffError("refuses to continue from the part that is here") from error
        if error.code in _PASSING:
            raise _BrokenOffError(f"HTTP {error.code} {error.reason}") from error
        raise DataError(
            f"{self.url}: HTTP {error.code} {error.reason}; expected the file. "
            "Get it another way, and name it: --model FILE."
        ) from error


def _range_start(response: http.client.HTTPResponse) -> int:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else 0


def _fetch_all(transfer: _Transfer, patience: Patience) -> None:
    """Try until the server has sent everything; only attempts without a new byte count."""
    failed = 0
    while True:
        before = transfer.done_bytes()
        try:
            transfer.attempt()
        except _BrokenOffError as error:
            failed = 0 if transfer.done_bytes() > before else failed + 1
            if failed >= patience.attempts:
                raise DataError(
                    f"{transfer.url}: {error}; {patience.attempts} attempts failed. "
                    "Check the network, or get the file another way, and name it: --model FILE."
                ) from error
            done = transfer.done_bytes()
            onward = f"continuing at byte {done}" if done else "trying again"
            log.warning("%s: %s; %s", transfer.url, error, onward)
            patience.pause(2.0**failed - 1.0)
        else:
            return
