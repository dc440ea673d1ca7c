"""What verbs share that keep a journal: their folder, and what must not change to continue."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.base.files import held, make_folder
from sut.config.prepare import resolve_workload

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from sut.config.plan import Plan

# Options that never change what is measured.
_FREE = frozenset({"out", "fresh", "dry_run", "json", "debug"})


def make(folder: Path, *, fresh: bool) -> None:
    """Make the folder; with `fresh`, move an existing one beside it."""
    if fresh and folder.exists():
        with held(folder, "--out"):
            pass
        numbered = (folder.with_name(f"{folder.name}.{n}") for n in range(1, 10_000))
        folder.rename(next(path for path in numbered if not path.exists()))
    make_folder(folder, "--out")


@contextmanager
def claimed(folder: Path, *, fresh: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Make the folder and hold it. Bad input leaves no new folder; an interrupt says what is kept.

    Args:
        folder: see `make`.
        fresh: see `make`.
        say: prints a line.

    Raises:
        ConfigError: another command uses it.
    """
    is_new = fresh or not folder.exists()
    make(folder, fresh=fresh)
    with held(folder, "--out"):
        try:
            yield
        except ConfigError:
            if is_new:
                shutil.rmtree(folder)
            raise
        except KeyboardInterrupt:
            say(f"What was measured is in {folder}; the same command continues.")
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
