"""`sut report` of 16 tables with 176 rows: its time in a new process, and the size of its page.

Run it with `make bench-report`; ARGS=ROUNDS.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.sut.report.made import table, table_folder
from tests.tidy import tidy

TABLES, ROUNDS = 16, 5


def main() -> None:
    """Print the median time and its range, and the size."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        made = [table(f"table {k}", speed=1 + k / TABLES) for k in range(TABLES)]
        folders = [table_folder(Path(folder) / str(k), one) for k, one in enumerate(made)]
        page = Path(folder) / "all.html"
        command = [sys.executable, "-m", "sut", "report", *map(str, folders), "--out", str(page)]
        times = [_seconds(command) for _ in range(rounds)]
        rows = sum(len(one.rows) for one in made)
        print(
            f"{rows} rows in {TABLES} tables: {median(times):.2f} s "
            f"({min(times):.2f} to {max(times):.2f} s in {rounds} runs), "
            f"{page.stat().st_size / 1e6:.2f} MB"
        )


def _seconds(command: list[str]) -> float:
    start_s = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start_s


if __name__ == "__main__":
    sys.exit(tidy(main))
