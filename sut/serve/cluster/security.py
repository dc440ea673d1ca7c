"""Who may speak to a node: CURVE key pairs (RFC 26), and the check of a client's key (ZAP, RFC 27).

A folder has the pair of the nodes and that of the runs. Each side needs its own secret and the
other's public key; copy the folder to every machine of the cluster. Messages are encrypted as well.
"""

from __future__ import annotations

import contextlib
import stat
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import zmq
from zmq.auth import create_certificates, load_certificate

from sut.base.errors import ConfigError
from sut.base.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

NODE, RUN = "node", "run"
_SECRET, _PUBLIC = ".key_secret", ".key"
# Where libzmq asks who may connect (RFC 27).
_ZAP = "inproc://zeromq.zap.01"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one side.

    Attributes:
        public: of this side.
        secret: of this side.
        other: public, of the other side.
    """

    public: bytes
    secret: bytes
    other: bytes


def make_keys(folder: Path) -> list[Path]:
    """Make both key pairs; return their files.

    Raises:
        ConfigError: there are keys already, or the folder cannot be written.
    """
    make_folder(folder, "sut cluster keys")
    paths = [folder / (who + end) for who in (NODE, RUN) for end in (_PUBLIC, _SECRET)]
    there = next((path for path in paths if path.exists()), None)
    if there is not None:
        raise ConfigError(
            f"{there}: there are keys already; name another folder, or remove them first."
        )
    for who in (NODE, RUN):
        create_certificates(folder, who)
        (folder / (who + _SECRET)).chmod(stat.S_IRUSR | stat.S_IWUSR)
    return paths


def load_keys(folder: str | None, who: str) -> Keys | None:
    """Read the keys of one side: NODE or RUN; None for no folder.

    Raises:
        ConfigError: a file is missing, is no key, or others may read a secret.
    """
    if folder is None:
        return None
    own, other = Path(folder) / (who + _SECRET), RUN if who == NODE else NODE
    public, secret = _load(own)
    if own.stat().st_mode & _OTHERS:
        raise ConfigError(f"{own}: others may read this secret key. Run chmod 600 {own}.")
    if secret is None:
        raise ConfigError(f"{own}: no secret key in it; expected a file of sut cluster keys.")
    return Keys(public, secret, _load(Path(folder) / (other + _PUBLIC))[0])


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        why = "is missing" if isinstance(error, OSError) else "is no key"
        raise ConfigError(
            f"{path}: {why}; expected a file of sut cluster keys {path.parent}."
        ) from error


def secure_client(sock: zmq.Socket[bytes], keys: Keys | None) -> None:
    """Let a socket that will connect show its key, and expect the other's."""
    if keys is not None:
        sock.curve_publickey, sock.curve_secretkey = keys.public, keys.secret
        sock.curve_serverkey = keys.other


def secure_server(sock: zmq.Socket[bytes], keys: Keys | None) -> None:
    """Let a socket that will be bound take clients with the right key alone; see Guard."""
    if keys is not None:
        sock.curve_server = True
        sock.curve_publickey, sock.curve_secretkey = keys.public, keys.secret


class Guard:
    """A thread that says to libzmq which keys may connect to the sockets of one context.

    It ends, and closes its own socket, when the context is terminated. Nobody else may close that
    socket, as `Context.destroy` would: libzmq then aborts the process.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: Keys, name: str) -> None:
        self._allowed = keys.other
        self._name = name
        self._sock = context.socket(zmq.REP)
        self._sock.bind(_ZAP)
        threading.Thread(target=self._run, name="guard", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                frames = self._sock.recv_multipart()
                self._sock.send_multipart(self._answer(frames))
            except zmq.ContextTerminated:
                self._sock.close()
                return

    def _answer(self, frames: Sequence[bytes]) -> list[bytes]:
        version, request, _, address, _, mechanism, *shown = frames
        allowed = mechanism == b"CURVE" and shown == [_raw(self._allowed)]
        if not allowed:
            say(f"{self._name}: refused a client at {address.decode(errors='replace')}: its key is "
                "not the run's")  # fmt: skip
        status = (b"200", b"OK") if allowed else (b"400", b"unknown key")
        return [version, request, *status, b"", b""]


def _raw(key: bytes) -> bytes:
    return zmq.utils.z85.decode(key)


def say(line: str) -> None:
    """Write one line for whoever looks after the node; without anybody it is lost, and no more."""
    with contextlib.suppress(OSError, ValueError):  # the terminal is gone, or its end is closed
        print(line, file=sys.stderr, flush=True)
