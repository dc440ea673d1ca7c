"""`sut import`: results of other tools as tables, beside the tables of this program."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_VALID, ConfigError
from sut.base.files import make_folder, not_writable, write_whole
from sut.record.importers.read import KINDS, read_tables
from sut.record.table import TABLE_FILE, encode
from sut.verbs.options import out_folder

if TYPE_CHECKING:
    from sut.record.table import Table

EXAMPLES = f"""examples:
  sut import perf.csv --out old/
  sut import trtexec.log --out old-trtexec/
  sut import times.json --batch 8 --out times/
  sut import inference_results_v0.5 --out published/
  sut compare published/01-resnet-on-R740_T4x4_tensorrt runs/mine

files: {"; ".join(KINDS)}; the folder of a LoadGen run or of a submission"""
_MOST_LETTERS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file or folder")
    parser.add_argument(
        "--batch",
        type=_batch,
        metavar="N",
        help="samples of a request, for files that do not say it",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: runs/TIME-import)"
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Read everything, then write; return 0."""
    tables = [t for path in arguments.files for t in read_tables(path, arguments.batch)]
    with out_folder(arguments.out, "import") as out:
        files = {out / name / TABLE_FILE: encode(t).decode() for name, t in _named(tables)}
        if taken := next((path for path in files if path.exists()), None):
            raise ConfigError(f"--out: {taken} is there already. Name another folder.")
        make_folder(out, "--out")
        try:
            write_whole(files)
        except OSError as error:
            raise not_writable(out, "--out", error) from error
        if arguments.json:
            texts = ",\n".join(encode(table).decode().strip() for table in tables)
            print(f"[{texts}]")
        for path, table in zip(files, tables, strict=True):
            print(_line(table, path), file=sys.stderr if arguments.json else sys.stdout)
    return EXIT_VALID


def _line(table: Table, path: Path) -> str:
    rows, failed = len(table.rows), sum(row.problem is not None for row in table.rows)
    unread = f", {failed} of them unreadable" if failed else ""
    ignored = table.configuration.get("Not imported")
    left = f"; not imported: {ignored}" if ignored else ""
    return f"{table.title}: {rows} row{'s' * (rows != 1)}{unread}{left} -> {path}"


def _named(tables: list[Table]) -> list[tuple[str, Table]]:
    """Return each table with the name of its folder: none for a single one."""
    if len(tables) == 1:
        return [("", tables[0])]
    digits = len(str(len(tables)))
    return [(f"{k:0{max(2, digits)}}-{_slug(t)}", t) for k, t in enumerate(tables, 1)]


def _slug(table: Table) -> str:
    """Return letters and digits that say what a table is."""
    about = table.configuration
    words = [about[key] for key in ("Benchmark", "Model", "System") if key in about] or [
        table.source
    ]
    plain = re.sub(r"[^\w.-]+", "-", " ".join(words), flags=re.ASCII)
    return plain.strip("-.")[:_MOST_LETTERS] or "table"


def _batch(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text[:9]):
        return int(text[:9])
    raise argparse.ArgumentTypeError(f'"{text}"; expected samples, such as 8')
