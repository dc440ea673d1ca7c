"""Addresses of streams: how FFmpeg reaches them, what goes wrong, and what to do about it.

An address may hold a password; nothing that is shown or written does.
"""

from __future__ import annotations

import re

SCHEMES = ("rtsp://", "rtsps://", "http://", "https://", "udp://", "tcp://", "srt://", "rtmp://")
# FFmpeg's options by the beginning of the address. Over TCP no packet is lost: over UDP a camera's
# key frame overruns the socket's buffer, and frames are grey until the next one.
_OPTIONS = {"rtsp": {"rtsp_transport": "tcp"}}
_PASSWORD = re.compile(r"(\w+://[^\s/:@]*):[^\s/]*@")
# What to do, by a part of FFmpeg's words.
_REMEDIES = {
    "401": "Put user and password into the address: rtsp://USER:PASSWORD@HOST/...",
    "403": "The server does not let this user or this machine in.",
    "404": "The server has no such stream: correct the path.",
    "5XX": "The server has trouble of its own: see its log.",
    "refused": "Nobody listens there: correct host and port, or start the server.",
    "resolve": "No such host: correct its name.",
    "Name or service": "No such host: correct its name.",
    "unreachable": "No way leads there: correct the host, or look at the network.",
    "no answer": "Look at the server and the network, or raise --stall-s.",
}
_OTHERWISE = "Try the address with ffprobe."


def is_network(name: str) -> bool:
    """Say whether a source is an address instead of a file."""
    return name.startswith(SCHEMES)


def options_of(name: str) -> dict[str, str]:
    """Return FFmpeg's options for a source, by name."""
    return next((dict(of) for start, of in _OPTIONS.items() if name.startswith(start)), {})


def without_passwords(text: str) -> str:
    """Return a text, such as an address or a command, with *** for the passwords of addresses."""
    return _PASSWORD.sub(r"\1:***@", text)


def remedy(words: str) -> str:
    """Return what to do about an address that FFmpeg cannot open, from its words."""
    return next((help_ for part, help_ in _REMEDIES.items() if part in words), _OTHERWISE)
