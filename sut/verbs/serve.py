"""`sut serve`: a benchmark's model over HTTP, for clients of Triton and KServe."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_VALID, ConfigError
from sut.base.process import prefer_short_pauses
from sut.config.plan import resolve
from sut.config.prepare import resolve_workload
from sut.verbs.options import add_benchmark, add_options, as_arguments

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut serve -b efficientnet-lite0
  sut serve -b resnet50 --system my_server --max-queue-delay-us 2000 --port 8080
  sut serve -b my.yaml --host 0.0.0.0 --token @token.txt
  curl localhost:8000/v2/models/efficientnet-lite0
"""
_NEEDS = ("starlette", "uvicorn", "httptools", "uvloop")
_MS, _MIB = 1e6, 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    add_benchmark(parser)
    add_options(parser, "--model", "--pixels")
    door = parser.add_argument_group("clients")
    door.add_argument("--host", default="127.0.0.1", help="to listen on (default: 127.0.0.1)")
    door.add_argument(
        "--port", type=int, default=8000, metavar="P", help="to listen on (8000); 0: a free one"
    )
    door.add_argument(
        "--token", metavar="T", help="that clients must send; @FILE reads it from a file"
    )
    door.add_argument(
        "--max-body-mb", type=float, default=64.0, metavar="MB", help="largest request (64)"
    )
    door.add_argument(
        "--max-json-mb",
        type=float,
        default=4.0,
        metavar="MB",
        help="of it or an answer as JSON (4)",
    )
    door.add_argument(
        "--max-held-mb", type=float, default=1024.0, metavar="MB", help="all requests (1024)"
    )
    door.add_argument(
        "--max-queue-samples",
        type=int,
        metavar="N",
        help="without an answer; beyond, clients get 503 (default: eight batches of all workers)",
    )
    door.add_argument(
        "--client-timeout-s",
        type=float,
        default=30.0,
        metavar="S",
        help="to send a request or to read an answer (30)",
    )
    door.add_argument(
        "--target-latency-ms", type=float, metavar="L", help="bound for the largest batch"
    )
    door.add_argument(
        "--tolerate-loss",
        action="store_true",
        help="go on without an engine that fails or hangs; others get its requests",
    )
    harness = parser.add_argument_group("harness (default: from the system, then the benchmark)")
    add_options(harness, "--system", "--backend", "--devices", "--instances", "--max-batch-size")
    add_options(harness, "--max-queue-delay-us", "--slots", "--set")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Serve until a signal; return the exit code."""
    for name in _NEEDS:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"sut serve needs {name}. Install it: pip install -e '.[serve]'")
    from sut.load.http import ServeRequest, serve  # noqa: PLC0415 - it needs the extra

    _check(arguments)
    token = _token(arguments.token)
    plan = resolve(as_arguments(arguments, "Server"))
    workload = resolve_workload(plan.benchmark, plan.harness.backend, arguments.model)
    bound_ms = arguments.target_latency_ms or plan.benchmark.rules("Server").target_latency_ms
    request = ServeRequest(
        workload=workload,
        harness=plan.harness,
        host=arguments.host,
        port=arguments.port,
        token=token,
        bound_ns=None if bound_ms is None else bound_ms * _MS,
        body_bytes=int(arguments.max_body_mb * _MIB),
        json_bytes=int(arguments.max_json_mb * _MIB),
        held_bytes=int(arguments.max_held_mb * _MIB),
        queue_samples=arguments.max_queue_samples,
        patience_s=arguments.client_timeout_s,
        tolerate_loss=arguments.tolerate_loss,
    )

    def say(line: str) -> None:
        prefer_short_pauses()
        print(
            json.dumps({"serving": line.rsplit(maxsplit=1)[-1]}) if arguments.json else line,
            flush=True,
        )

    serve(request, say)
    return EXIT_VALID


def _check(arguments: argparse.Namespace) -> None:
    names = ("max_body_mb", "max_json_mb", "max_held_mb", "max_queue_samples")
    for name in (*names, "client_timeout_s", "target_latency_ms"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < math.inf:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {value:g}; expected a number above 0.")


def _token(text: str | None) -> str | None:
    """Return the token; it must fit in a header."""
    if text is None:
        return None
    if text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise ConfigError(f"--token: {path} is not a file.")
        text = path.read_text("utf-8").strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError("--token is empty or has spaces or letters beyond ASCII.")
    return text
