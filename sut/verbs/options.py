"""The options that several verbs share: how they look, and how they reach the configuration."""

from __future__ import annotations

import argparse
import math
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.base import BACKENDS
from sut.base.errors import ConfigError
from sut.config.arguments import TRAVELS, Arguments
from sut.config.settings import WORKER_KINDS
from sut.record.run_folder import default_folder
from sut.record.thinning import DEFAULT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backends.base import OptionValue
    from data.harness_defaults import BatchSize, QueueDelay


def _batch_size(text: str) -> BatchSize:
    """Read `--max-batch-size`."""
    if text == "auto":
        return "auto"
    if text.lstrip("-").isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f'"{text}"; expected samples, such as 32, or auto')


def queue_delay(text: str) -> QueueDelay:
    """Read `--max-queue-delay-us`."""
    if text == "late":
        return "late"
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f'"{text}"; expected microseconds, such as 2000, or late')


def _trace_bytes(text: str) -> float | None:
    """Read `--trace-mb`."""
    if text == "all":
        return None
    if text.isdecimal() and int(text):
        return int(text) * 1e6
    raise argparse.ArgumentTypeError(f'"{text}"; expected megabytes, such as 200, or all')


# Each shared option and what argparse needs to know of it.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--system": {"metavar": "NAME", "help": "a system in user_confs/, or the path of its folder"},
    "--backend": {"metavar": "NAME", "help": f"inference backend: {', '.join(BACKENDS)}"},
    "--model": {"type": Path, "metavar": "FILE", "help": "your own model"},
    "--pixels": {
        "action": "store_const",
        "const": True,
        "help": "samples stay 8-bit pixels, a quarter of float32; the model's first nodes "
        "normalise them: docs/pixels.md",
    },
    "--data": {"type": Path, "metavar": "DIR", "help": "folder or .npz of the data set"},
    "--user-conf": {
        "type": Path,
        "metavar": "FILE",
        "help": "LoadGen's user.conf (default: the system's)",
    },
    "--devices": {"metavar": "0,1", "help": "devices to use: GPU numbers, or cpu"},
    "--cluster": {
        "type": Path,
        "metavar": "FILE",
        "help": "machines whose devices answer, in a YAML file: docs/cluster.md",
    },
    "--network": {
        "nargs": "?",
        "const": "raw",
        "choices": TRAVELS,
        "help": "MLPerf's network division: samples travel to the nodes of --cluster with each "
        "query, as they are (raw), compressed without loss, or as the data set's images",
    },
    "--workers": {"metavar": "KIND", "help": f"where engines run: {', '.join(WORKER_KINDS)}"},
    "--instances": {"type": int, "metavar": "N", "help": "engines on each device"},
    "--max-batch-size": {
        "type": _batch_size,
        "metavar": "B",
        "help": "largest batch, in samples; auto: warm-up chooses it",
    },
    "--max-queue-delay-us": {
        "type": queue_delay,
        "metavar": "U",
        "help": "how long a sample may wait for a fuller batch; late: until its device is free",
    },
    "--slots": {"type": int, "metavar": "K", "help": "batches in flight per worker"},
    "--postprocess-threads": {
        "type": int,
        "metavar": "N",
        "help": "threads of a worker that make the boxes of a batch (default: one a CPU core, at "
        "most four)",
    },
    "--trace-mb": {
        "type": _trace_bytes,
        "default": DEFAULT_BYTES,
        "dest": "trace_bytes",
        "metavar": "MB",
        "help": "bound on the trace of batches, which thins itself beyond it (200), or all",
    },
    "--set": {
        "action": "append",
        "default": [],
        "metavar": "KEY=VALUE",
        "help": "an option of the backend, such as intra_op_threads=2; may be repeated",
    },
}
# Fields of Arguments with the name of their option; a verb has those that it can use.
_SAME_NAME = (
    "mode",
    "system",
    "backend",
    "model",
    "pixels",
    "data",
    "user_conf",
    "strict_conf",
    "round",
    "workers",
    "instances",
    "max_batch_size",
    "max_queue_delay_us",
    "postprocess_threads",
    "slots",
    "affinity",
    "cluster",
    "network",
    "audit_config",
    "loadgen_trace",
    "trace_bytes",
)


def add_benchmark(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, *, required: bool = True
) -> None:
    """Add -b; every verb with a benchmark requires it, unless something else can name it."""
    parser.add_argument(
        "-b",
        "--benchmark",
        required=required,
        help="a benchmark's name, or the path of its YAML file",
    )


def add_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup, *names: str) -> None:
    """Add these of the shared options, in this order: "--system", "--backend" and so on."""
    for name in names:
        parser.add_argument(name, **_OPTIONS[name])


@contextmanager
def out_folder(given: Path | None, name: str) -> Iterator[Path]:
    """Yield the folder of a run: that of --out, or runs/TIME-NAME, which no other run gets."""
    if given is not None:
        yield given
        return
    stamp = time.strftime("%Y%m%d-%H%M%S")
    with default_folder(Path("runs") / f"{stamp}-{name}") as folder:
        yield folder


def as_arguments(parsed: argparse.Namespace, scenario: str, **others: Any) -> Arguments:
    """Return what the user typed, for `resolve`.

    Args:
        parsed: with `benchmark`, `devices`, `set`, and the other options that the verb has.
        scenario: as LoadGen spells it.
        others: fields of Arguments whose option has another name or form.

    Raises:
        ConfigError: a --set that is not KEY=VALUE.
    """
    same = {name: getattr(parsed, name) for name in _SAME_NAME if hasattr(parsed, name)}
    return Arguments(
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


def varied(texts: Sequence[str]) -> dict[str, tuple[OptionValue, ...]]:
    """Read what `--vary KEY=V1,V2` says, by key.

    Raises:
        ConfigError: a text is not of that form.
    """
    varied: dict[str, tuple[OptionValue, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not (key and equals and all(values.split(","))):
            raise ConfigError(f'--vary: "{text}"; expected KEY=V1,V2, such as instances=1,2,4.')
        varied[key] = tuple(parse_option(f"{key}={value}")[1] for value in values.split(","))
    return varied
