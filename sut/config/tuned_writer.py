"""Writes the answer where `sut run` finds it: the system's tuned.yaml and user.conf.

tuned.yaml is the tuner's own file. In user.conf it changes one line; all others stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import yaml

from data.strict_yaml import load_strict
from sut.base.files import write_whole
from sut.config import user_conf
from sut.config.tuned import TUNED_FILE, Tuned, TunedFile, read_tuned

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

HEADER = (
    "# Written by `sut tune`. Overrides system.yaml. To go back, remove an entry or this file.\n"
)
USER_CONF = "user.conf"


def keep_tuned(folder: Path, entry: Tuned) -> Path:
    """Set the entry of its benchmark, scenario and what it runs in tuned.yaml; return its path.

    All other entries stay.

    Raises:
        ConfigError: the file that is there cannot be read.
    """
    before = read_tuned(folder)
    about = (entry.benchmark, entry.scenario)
    kept = [
        one
        for one in before.tuned
        if (one.benchmark, one.scenario) != about or not one.is_for(entry.runs)
    ]
    file = TunedFile((*kept, entry), before.benchmarks)
    text = yaml.safe_dump(_given(msgspec.to_builtins(file)), sort_keys=False, width=100)
    path = folder / TUNED_FILE
    write_whole({path: HEADER + text})
    load_strict(path, TunedFile)
    return path


def keep_rate(
    folder: Path, model: str, scenario: str, qps: float, known_models: Collection[str]
) -> Path:
    """Set `model.scenario.target_qps` in user.conf, and return its path; other lines stay.

    Raises:
        ConfigError: the existing file is wrong.
    """
    path = folder / USER_CONF
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text and not text.endswith("\n"):
        text += "\n"
    line = user_conf.render(model, scenario, {"target_qps": qps})
    name = rf"{re.escape(model)}\.{scenario}\.target_qps"
    changed, count = re.subn(rf"(?m)^[ \t]*{name}[ \t]*=.*\n", line, text)
    if not count:
        changed = f"{text}# Found by sut tune.\n{line}"
    user_conf.parse(changed, str(path), known_models)
    write_whole({path: changed})
    return path


def _given(value: object) -> object:
    """Leave out None and empty mappings."""
    if isinstance(value, list | tuple):
        return [_given(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _given(inner) for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner is not None and inner != {}}
