"""What verbs that run a system have in common: its options, from the command line to the config."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sut.base.errors import ConfigError
from sut.config import plan as config

if TYPE_CHECKING:
    import argparse

    from backends.base import OptionValue

# Of config.Arguments; a verb has those that mean something to it.
_SAME_NAME = (
    "mode",
    "system",
    "backend",
    "model",
    "data",
    "user_conf",
    "round",
    "workers",
    "instances",
    "max_batch_size",
    "max_queue_delay_us",
    "slots",
    "affinity",
    "audit_config",
    "loadgen_trace",
)


def as_arguments(parsed: argparse.Namespace, scenario: str, **others: Any) -> config.Arguments:
    """Return what the user typed, for `config.resolve`.

    Args:
        parsed: with `benchmark`, `devices`, `set`, and the other options that the verb has.
        scenario: as LoadGen spells it.
        others: fields of config.Arguments whose option reads otherwise.

    Raises:
        ConfigError: an option of the backend that is not KEY=VALUE.
    """
    same = {name: getattr(parsed, name) for name in _SAME_NAME if hasattr(parsed, name)}
    return config.Arguments(
        benchmark=parsed.benchmark,
        scenario=scenario,
        devices=tuple(parsed.devices.split(",")) if parsed.devices else None,
        backend_options=dict(parse_option(text) for text in parsed.set),
        **same,
        **others,
    )


def parse_option(text: str) -> tuple[str, OptionValue]:
    """Split KEY=VALUE; the value is a bool, an integer, a number, or else text."""
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise ConfigError(f'--set: "{text}"; expected KEY=VALUE, such as intra_op_threads=2.')
    if value in {"true", "false"}:
        return key, value == "true"
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        if math.isfinite(number):
            return key, number
    return key, value
