"""`sut VERB`: arguments in, exit codes out. The modules of a verb load only when it runs."""

from __future__ import annotations

import argparse
import importlib
import shlex
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from sut import __version__
from sut.base.errors import EXIT_BAD_INPUT, EXIT_FAILED, SutError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each verb: the module with its `add_arguments` and `main`, and what the verb does.
VERBS = {
    "run": ("sut.verbs.run", "run a LoadGen test, or all four"),
    "tune": (
        "sut.verbs.tune",
        "find the best settings and the highest load within a latency bound",
    ),
    "max-streams": ("sut.verbs.max_streams", "find how many streams fit at a fixed interval"),
    "submit": ("sut.verbs.submit", "run and verify a submission, and write its tree"),
    "audit": ("sut.verbs.audit", "run a compliance test and verify it"),
    "check": ("sut.verbs.check", "check the tree of a submission"),
    "build": ("sut.verbs.build", "build a TensorRT engine of a benchmark's model"),
    "quantize": ("sut.verbs.quantize", "make an fp16 or int8 model and compare it with fp32"),
    "doctor": ("sut.verbs.doctor", "show what this machine has and lacks"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code: 0 valid, 1 failed, 2 bad input, 3 INVALID."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    if not words or words[0] not in VERBS:
        parser.parse_args(words)  # --help, --version, or the error
        parser.print_help()
        return 0
    module = importlib.import_module(VERBS[words[0]][0])
    verb = _verb_parser(words[0])
    module.add_arguments(verb)
    arguments = verb.parse_args(words[1:])
    # A shell starts background jobs with SIGINT ignored, and Python leaves it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return int(module.main(arguments, shlex.join(["sut", *words])))
    except SutError as error:
        return _report(error, arguments.debug)
    except KeyboardInterrupt:
        print("sut: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sut",
        description="An MLPerf Inference system under test, driven by the real LoadGen.",
        epilog="Example: sut run -b efficientnet-lite0 -s Offline\n"
        "Exit codes: 0 done and VALID, 1 failed, 2 bad input, 3 done but INVALID.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"loadgen-sut {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", title="verbs (each has --help)")
    for name, (_, text) in VERBS.items():
        verbs.add_parser(name, help=text, add_help=False)
    return parser


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument in one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where to find help; exit 2."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _verb_parser(name: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"sut {name}",
        description=f"{VERBS[name][1][0].upper()}{VERBS[name][1][1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print only the result, as JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _report(error: SutError, debug: bool) -> int:
    """Print an error as one line, with the traceback of a failed worker below it."""
    if debug:
        import traceback  # noqa: PLC0415 - only for an error

        traceback.print_exception(error)
    print(f"sut: {error}", file=sys.stderr)
    if isinstance(error, WorkerError) and error.worker_traceback:
        print(error.worker_traceback, file=sys.stderr, end="")
    return getattr(error, "code", error.exit_code) or EXIT_FAILED
