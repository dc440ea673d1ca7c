"""What a page says of the machine and of what was not real. Only words."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SIMULATED = "Simulated devices: no real engine ran. These figures are not for a submission."
SYNTHETIC = "Synthetic data: the samples are not those of the benchmark."
_GIB, _MOST_BYTES = 2**30, 2**63
_DATE = len("2026-11-28")
# What a reader of a page does not look for.
_HIDDEN = {"executable"}


def started(time: str) -> str:
    """Return when something began, in a sentence; nothing for an unknown time.

    Args:
        time: ISO 8601; another text stays as it is.
    """
    if len(time) > _DATE:
        with suppress(ValueError):
            time = f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M %Z}".rstrip()
    return f"Started {time}." if time else ""


def flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str, str]]:
    """Return nested values as (name, text, ""), names joined by spaces; nothing for unknown ones.

    The facts of engines that are equal are there once.
    """
    found: list[tuple[str, str, str]] = []
    for key, value in values.items():
        name = f"{prefix} {key}".strip().replace("_", " ")
        if key in _HIDDEN or value in (None, "", {}, []):
            continue
        if isinstance(value, dict):
            found += flat(value, "" if key in {"machine", "system", "versions"} else name)
        elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
            different = [item for k, item in enumerate(value) if item not in value[:k]]
            for number, item in enumerate(different, start=1):
                one = name.removesuffix("s")
                found += flat(item, one if len(different) == 1 else f"{one} {number}")
        elif key.endswith("_bytes") and isinstance(value, int) and value < _MOST_BYTES:
            found.append((name.removesuffix(" bytes"), f"{value / _GIB:.4g} GiB", ""))
        else:
            found.append((name, text_of(value), ""))
    return found


def text_of(value: object) -> str:
    """Return a value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={text_of(inner)}" for key, inner in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
