"""Reads thousands of mutated files of each kind: `python -m tests.fuzz.files [COUNT]`.

A reader either takes a file or raises a SutError of one line. Anything else is printed with the
file: another exception, a hang, and a key that is accepted and then ignored.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn

from sut.base.errors import SutError
from tests.fuzz.mutations import mutated
from tests.fuzz.readers import Kind, Refused, is_one_line, kinds, make_images

if TYPE_CHECKING:
    from types import FrameType

COUNT = 10_000
HANG_S = 30  # on a busy machine; the slowest takes half a second
SHOWN = 5  # findings of a kind, each with its file


class Hang(Exception):
    """A reader takes too long."""


def fuzz(kind: Kind, count: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Read mutated files of a kind; return how many ended how, and texts of what is wrong."""
    path = folder / kind.file
    random = Random(kind.name)
    ends: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    for _ in range(count):
        content = mutated(kind.good, random)
        path.write_bytes(content)
        end, why = _outcome(kind, path)
        ends[end] += 1
        if why:
            wrong.setdefault(why[:80], f"{kind.name}: {end}: {why}\n  {content!r}")
    return ends, list(wrong.values())


def _outcome(kind: Kind, path: Path) -> tuple[str, str]:
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    end, why = "accepted", ""
    try:
        if ignored := kind.read(path):
            why = f"accepted and ignored: {ignored}"
    except Refused:
        end = "refused"
    except SutError as error:
        end = "refused"
        if not is_one_line(str(error)):
            why = f"a message of several lines or strange characters: {str(error)!a}"
    except Hang:
        why = f"no answer after {HANG_S} s"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        why = f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ("wrong" if why else end), why


def _hang(number: int, frame: FrameType | None) -> NoReturn:
    raise Hang


def main() -> int:
    """Print a line for each kind; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=COUNT)
    parser.add_argument("--only", help="the kind with this name")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _hang)
    logging.disable()
    warnings.simplefilter("error")  # nothing but messages may reach the screen
    total_s, findings = time.monotonic(), 0
    for kind in kinds():
        if arguments.only not in {None, kind.name}:
            continue
        start_s = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            make_images(Path(folder))
            ends, wrong = fuzz(kind, arguments.count, Path(folder))
        shown = ", ".join(f"{ends[end]:,} {end}" for end in ("accepted", "refused", "wrong"))
        print(f"{kind.name + ':':28}{shown} ({time.monotonic() - start_s:.0f} s)", flush=True)
        for text in wrong[:SHOWN]:
            print(text)
        findings += ends["wrong"]
    print(f"{findings:,} wrong, {time.monotonic() - total_s:.0f} s")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
