"""What verbs share that keep a journal: their folder, and what must not change to continue."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.base.files import held, make_folder
from sut.base.ticker import ticking
from sut.config.prepare import resolve_workload
from sut.record.journal import JOURNAL_FILE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.record.run_folder import RunFolder

# Options that never change what is measured.
_FREE = frozenset({"out", "fresh", "dry_run", "json", "debug"})


def _make(folder: Path, *, fresh: bool) -> None:
    """Make the folder; with `fresh`, move an existing one beside it."""
    if fresh and folder.exists():
        with held(folder, "--out"):
            pass
        numbered = (folder.with_name(f"{folder.name}.{n}") for n in range(1, 10_000))
        folder.rename(next(path for path in numbered if not path.exists()))
    make_folder(folder, "--out")


@contextmanager
def claimed(
    folder: Path,
    *,
    say: Callable[[str], None],
    fresh: bool = False,
    continues: bool = True,
    idle: str = "working",
) -> Iterator[None]:
    """Make the folder and hold it. Bad input leaves no new folder; an interrupt says what is kept.

    Meanwhile a line comes at least every ten seconds; see sut.base.ticker.

    Args:
        folder: see `_make`.
        say: prints a line.
        fresh: see `_make`.
        continues: the same command goes on after an interrupt.
        idle: what is done where nothing says what is.

    Raises:
        ConfigError: another command uses it.
    """
    is_new = fresh or not folder.exists()
    _make(folder, fresh=fresh)
    with held(folder, "--out"), ticking(idle, say):
        try:
            yield
        except ConfigError:
            if is_new:
                shutil.rmtree(folder)
            raise
        except KeyboardInterrupt:
            more = "; the same command continues" if continues else ""
            say(f"What was measured is in {folder}{more}.")
            raise


@contextmanager
def keeping(folder: RunFolder, say: Callable[[str], None]) -> Iterator[None]:
    """Say at an interrupt where the parts of a search are that `folder` keeps."""
    try:
        yield
    except KeyboardInterrupt:
        if folder.keeps:
            say(f"What was measured is in {folder.path / JOURNAL_FILE}.")
        raise


def settings(
    arguments: argparse.Namespace, plan: Plan, free: Collection[str] = ()
) -> dict[str, object]:
    """Return what must not change for a command to continue.

    Args:
        arguments: the command line.
        plan: resolved from it.
        free: further options that may change.
    """
    kept = {
        name: str(value)
        for name, value in vars(arguments).items()
        if name not in _FREE and name not in free and value not in (None, [])
    }
    harness = plan.harness
    model = resolve_workload(plan.benchmark, harness.backend, arguments.model).model
    return {
        **kept,
        **({} if model is None else {"model_sha256": model.sha256}),
        "scenario": plan.scenario,
        "backend": harness.backend,
        "devices": list(harness.devices),
    }
