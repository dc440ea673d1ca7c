"""What a node and a run must have in common, and the one line that says what differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from sut.config.workload import Workload

_SHOWN = 12  # digits of a hash


def model_files(workload: Workload) -> dict[str, str]:
    """Return the SHA-256 of every file of a model by its name, wherever the files lie."""
    model = workload.model
    if model is None:
        return {}
    files = {Path(path).name: digest for path, digest in model.files.items()}
    return {"model": model.sha256, **files}


def same(node: str, what: str, found: object, expected: object) -> None:
    """Refuse a node that has something else than the run.

    Raises:
        ConfigError: they differ.
    """
    if found != expected:
        raise ConfigError(
            f"node {node}: {what} is {_shown(found)}; expected {_shown(expected)}, as on the "
            "machine of the run. Give both machines the same."
        )


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items()) or "none"
    text = str(value)
    return f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text or "none"
