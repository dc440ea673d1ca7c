"""The files that a page is made of, each with a good one, and the page that is drawn of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sut.record.table import encode
from sut.report import folder as folders
from sut.report import run, sweep, tuning, tuning_story
from sut.report.folder import Run, Sweep, Tuning
from sut.report.section import assemble
from tests.sut.report.made import run_folder, story, table

if TYPE_CHECKING:
    from collections.abc import Iterator

# Files of a run folder whose content a page shows.
FILES = ("summary.json", "batches.npz", "config.yaml", "environment.json", "telemetry.csv")


def files() -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file that is mutated; the name is that in its folder."""
    yield "table.json", encode(table())
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / tuning_story.DATA_FILE
        tuning_story.write(path, story())
        yield path.name, path.read_bytes()
        made = run_folder(Path(scratch) / "run")
        for name in FILES:
            yield name, (made / name).read_bytes()


def draw(path: Path) -> list[str]:
    """Draw the page of the folder of a file; the other files of a run are good ones."""
    folder = path.parent
    made = folder / ".made"
    if path.name in FILES and not made.exists():
        made.touch()
        content = path.read_bytes()
        run_folder(folder)
        path.write_bytes(content)
    found = folders.read(folder)
    match found:
        case Run():
            assemble([run.section(found)])
        case Sweep():
            budgets = sweep.budgets_for([found.table])
            assemble([sweep.section(found, budgets, are_asked=False)])
        case Tuning():
            assemble([tuning.section(found.story)])
        case _:
            raise AssertionError("the good file makes it one of these")
    return []
