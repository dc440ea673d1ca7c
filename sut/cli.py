"""`sut VERB`: arguments in, exit codes out. The modules of a verb load only when it runs."""

from __future__ import annotations

import argparse
import errno
import importlib
import shlex
import sys
from typing import TYPE_CHECKING, NoReturn

from sut import __version__
from sut.base import streams
from sut.base.errors import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_VALID, SutError, WorkerError
from sut.base.signals import Stopped, stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Act = Callable[[argparse.Namespace, str], int]

# Each verb: the module with its `add_arguments` and `main`, and what the verb does.
VERBS = {
    "run": ("sut.verbs.run", "run a LoadGen test, or all four"),
    "tune": (
        "sut.verbs.tune",
        "find the best settings and the highest load within a latency bound",
    ),
    "plan": ("sut.verbs.plan", "count the devices that hold a load within a bound"),
    "max-streams": ("sut.verbs.max_streams", "find how many streams fit at a fixed interval"),
    "serve": ("sut.verbs.serve", "serve a model over HTTP to clients of Triton and KServe"),
    "video": ("sut.verbs.video", "run streams of video through a pipeline of models"),
    "report": ("sut.verbs.report", "write a page of a run, a sweep, a tuning or a submission"),
    "sweep": (
        "sut.verbs.sweep",
        "measure a range of loads and settings; each row checks itself",
    ),
    "concurrency": (
        "sut.verbs.concurrency",
        "measure how processes, threads or streams share one device",
    ),
    "fit": ("sut.verbs.fit", "find the largest batch that fits into memory, and predict others"),
    "devices": (
        "sut.verbs.devices",
        "compare a model on the CPU and every GPU, in several precisions",
    ),
    "submit": ("sut.verbs.submit", "run and verify a submission, and write its tree"),
    "audit": ("sut.verbs.audit", "run a compliance test and verify it"),
    "check": ("sut.verbs.check", "check the tree of a submission"),
    "build": ("sut.verbs.build", "build a TensorRT engine of a benchmark's model"),
    "quantize": ("sut.verbs.quantize", "make an fp16 or int8 model and compare it with fp32"),
    "compare": ("sut.verbs.compare", "compare two results, with intervals; a gate for CI"),
    "cluster": ("sut.verbs.cluster", "let other machines' devices answer a run"),
    "import": ("sut.verbs.import_", "turn results of other tools into tables"),
    "doctor": ("sut.verbs.doctor", "show what this machine has and lacks"),
}
# Verbs whose only product is what they print.
PRINT_ONLY = frozenset({"check", "compare", "doctor", "plan"})
# What the system refuses at any time; it is no fault of the program, and needs no traceback.
BEYOND_US = (OSError, MemoryError, UnicodeEncodeError, UnicodeDecodeError)
_SHOWN = 200  # characters of a text that is not UTF-8
_REMEDIES = {
    errno.ENOSPC: "Make room there, or name another folder.",
    errno.EDQUOT: "Make room in your quota, or name another folder.",
    errno.EFBIG: "Raise the limit on the size of a file (ulimit -f).",
    errno.EROFS: "Name a writable folder.",
    errno.EACCES: "Name a folder that you may use.",
    errno.ENAMETOOLONG: "Name a shorter one.",
    errno.ELOOP: "Name the file that the links are to lead to.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
}
# Only a name that the user gave can be so.
_TYPED = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
_NO_REMEDY = "The traceback: --debug."


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
    code = _act(module.main, arguments, shlex.join(["sut", *words]))
    if (why := streams.lost()) is not None:
        print(f"sut: standard output cannot be written: {why}", file=sys.stderr)
        if words[0] in PRINT_ONLY and code == EXIT_VALID:
            return EXIT_FAILED
    return code


def _act(act: Act, arguments: argparse.Namespace, command: str) -> int:
    """Run a verb, and turn what it raises into one line and an exit code."""
    try:
        with stopped_by_signals():
            return int(act(arguments, command))
    except SutError as error:
        return _report(error, arguments.debug)
    except Stopped as stopped:
        print(f"sut: {stopped}", file=sys.stderr)
        return stopped.exit_code
    except BEYOND_US as error:
        if arguments.debug:
            _print_traceback(error)
        print(f"sut: {_explained(error, getattr(arguments, 'out', None))}", file=sys.stderr)
        typed = isinstance(error, UnicodeError) or getattr(error, "errno", 0) in _TYPED
        return EXIT_BAD_INPUT if typed else EXIT_FAILED


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
        _print_traceback(error)
    print(f"sut: {error}", file=sys.stderr)
    if isinstance(error, WorkerError) and error.worker_traceback:
        print(error.worker_traceback, file=sys.stderr, end="")
    return getattr(error, "code", error.exit_code) or EXIT_FAILED


def _explained(error: BaseException, out: object) -> str:
    """Say what the system refused. An error of writing names no file: most are in `out`."""
    if isinstance(error, MemoryError):
        return (
            "out of memory; expected enough for model and samples. Lower the load or the batches."
        )
    if isinstance(error, UnicodeEncodeError | UnicodeDecodeError):
        return (
            f"{ascii(error.object)[:_SHOWN]}: is not UTF-8 ({error.reason}). Rename or convert it."
        )
    assert isinstance(error, OSError), "one of BEYOND_US"
    place = error.filename or out
    where = f"{place}: " if place else ""
    return f"{where}{error.strerror or error}. {_REMEDIES.get(error.errno or 0, _NO_REMEDY)}"


def _print_traceback(error: BaseException) -> None:
    import traceback  # noqa: PLC0415 - only for an error

    traceback.print_exception(error)
