"""A run folder: made and tested before the run, removed after bad input, kept otherwise.

Knows file names and formats.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from typing import TYPE_CHECKING, Self

import yaml

from sut.base.errors import EXIT_BAD_INPUT, ConfigError, DataError, SutError
from sut.base.files import held, not_writable
from sut.record import result as results
from sut.record.journal import JOURNAL_FILE
from sut.record.trace import EMPTY
from sut.record.trace_reader import TraceReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from sut.record.result import Result
    from sut.record.trace import Trace

SUMMARY_FILE = "summary.json"
CONFIG_FILE = "config.yaml"
ENVIRONMENT_FILE = "environment.json"
BATCHES_FILE = "batches.npz"
TRACE_FILE = "batches.trace"
# Of a point of a sweep: when each request was due, in ns, [R] int64.
SCHEDULE_FILE = "scheduled.npy"
USER_CONF_FILE = "user.conf"
REQUEST_FILE = "request.json"
LOG_FILE = "run.log"
ACCURACY_LOG = "mlperf_log_accuracy.json"
ACCURACY_FILE = "accuracy.txt"
# Room for summary.json and the other small files, should the logs of the run fill the disk.
RESERVE_FILE = ".reserve"
RESERVE_BYTES = 1 << 20
# A trace of this size takes a second to save.
_LONG_TRACE_BYTES = 50_000_000


def read_result(path: Path) -> Result:
    """Return the result of a run, even if an older version of this program wrote it.

    Args:
        path: a run folder, or its summary.json.

    Raises:
        DataError: there is none, or it is not a result of `sut run`.
    """
    file = path / SUMMARY_FILE if path.is_dir() else path
    try:
        text = file.read_bytes()
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read: {error.strerror}; expected the folder of a run that ended."
        ) from error
    return results.decode(text, str(file))


@contextlib.contextmanager
def default_folder(path: Path) -> Iterator[Path]:
    """Claim `path`, or the first of PATH-2, PATH-3, ... that is free, for a command without --out.

    Removes the folder at the end if nothing is in it.

    Raises:
        ConfigError: no folder can be made there.
    """
    made = [parent for parent in path.parents if not parent.exists()]
    names = (path.name if k == 1 else f"{path.name}-{k}" for k in itertools.count(1))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = next(folder for name in names if _is_new(folder := path.with_name(name)))
    except OSError as error:
        raise not_writable(path, "--out", error) from error
    try:
        yield found
    finally:
        _remove_empty([found, *made])


class RunFolder:
    """One folder for one run. Enter it before you write into it; no other run gets it meanwhile.

    Raises:
        ConfigError: on entry, if the folder cannot be written, already holds a result, or is that
            of a run that has not ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: list[Path] = []  # folders that did not exist before, innermost first
        self._hold = contextlib.ExitStack()
        self.problems: list[str] = []  # what could not be written
        self.keeps = False  # whether something was measured that an interrupt must not remove

    def __enter__(self) -> Self:
        """Make the folder, claim it, and test that it can be written."""
        made: list[Path] = []
        try:
            made += [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold.enter_context(held(self.path, "--out"))
            self._refuse_used()
            _reserve(self.path / RESERVE_FILE)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.free_reserve()
            self._hold.close()
            _remove_empty(made)
            raise not_writable(self.path, "--out", error) from error
        except ConfigError:
            self._hold.close()
            raise
        self._made = made
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the files after bad input; after a failure keep them, marked as failed.

        A Ctrl-C is an exception only as long as nothing is measured, and nothing was given to
        `keep`.
        """
        self.free_reserve()
        refused = isinstance(error, SutError) and error.exit_code == EXIT_BAD_INPUT
        if refused or (isinstance(error, KeyboardInterrupt) and not self.keeps):
            self._undo()
        elif error is not None and not (self.path / SUMMARY_FILE).exists():
            self._mark_failed()
        self._hold.close()

    def free_reserve(self) -> None:
        """Give back the room that was kept for the result."""
        (self.path / RESERVE_FILE).unlink(missing_ok=True)

    def space(self) -> str:
        """Say how much room the disk has, for a message about a damaged file."""
        free = shutil.disk_usage(self.path).free
        return f"The logs are kept in {self.path}, whose disk has {free / 1e6:,.1f} MB left."

    def keep(self, measured: Mapping[str, object]) -> None:
        """Append a part of what a search measures to journal.jsonl: whatever ends it, it stays."""
        with (self.path / JOURNAL_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(measured, ensure_ascii=False) + "\n")
        self.keeps = True

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file in one step: the whole file, or nothing."""
        self._write(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def write_result(self, result: Result) -> None:
        """Write summary.json in one step. It marks the run as complete."""
        self.write_json(SUMMARY_FILE, results.to_dict(result))

    def write_yaml(self, name: str, value: object) -> None:
        """Write a YAML file in one step."""
        self._write(name, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))

    def has_long_trace(self) -> bool:
        """Say whether saving the trace takes a while."""
        file = self.path / TRACE_FILE
        return file.exists() and file.stat().st_blocks * 512 > _LONG_TRACE_BYTES

    def save_trace(self) -> Trace:
        """Turn the trace file into batches.npz; return it, empty if the test never began.

        Keeps the trace file if the disk has no room for the other one, and notes that in
        `problems`.
        """
        file = self.path / TRACE_FILE
        began = file.exists() and file.stat().st_size > 0
        trace = TraceReader(file).read() if began else EMPTY
        try:
            trace.save(self.path / BATCHES_FILE)
        except OSError as error:
            self.problems.append(
                f"{BATCHES_FILE} cannot be written: {error.strerror}. The batches are in "
                f"{TRACE_FILE}."
            )
            return trace
        file.unlink(missing_ok=True)
        return trace

    def _refuse_used(self) -> None:
        """Refuse a folder with files in it: a run never changes them."""
        first = next(self.path.iterdir(), None)
        if first is not None:
            raise ConfigError(
                f"--out: {self.path} already holds a result or other files ({first.name}); a run "
                "needs its own folder. Name another, or remove this one."
            )

    def _write(self, name: str, text: str) -> None:
        part = self.path / (name + ".part")
        # A name of a file may be no UTF-8; readers of these files expect nothing else.
        shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        part.write_text(shown, encoding="utf-8")
        part.replace(self.path / name)

    def _mark_failed(self) -> None:
        """Rename LoadGen's logs: they may say VALID although the answers are empty."""
        if (self.path / TRACE_FILE).exists():
            self.save_trace()
        for log in self.path.glob("mlperf_log_*"):
            if not log.name.endswith(".failed"):
                log.rename(log.with_name(log.name + ".failed"))

    def _undo(self) -> None:
        if any(self.path.rglob(SUMMARY_FILE)):
            return  # keep what an earlier test measured
        if self.path.is_dir():  # it was empty or did not exist
            for path in self.path.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        _remove_empty(self._made)


def _reserve(path: Path) -> None:
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)


def _is_new(folder: Path) -> bool:
    """Make a folder; False if something of that name is there already."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, up to one that another run uses."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
