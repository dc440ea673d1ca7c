"""The grid of `sut concurrency` on a simulated device against processor sharing.

Run as `python -m tests.benchmarks.concurrency [--seconds S]`; prints a table in Markdown, and says
whether every point lies within 3 %, and its parts within 2 % of their total.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sut.record.table import Row, decode
from tests.tidy import tidy

BASE_MS, PER_SAMPLE_MS = 2.0, 0.5
PROCESSES, BATCHES = "1,2,4,8", "1,4,16"
SHARING, AGREE = 0.03, 0.02


def expected(row: Row) -> float:
    """Return samples/s of each process: 1/n of a device that is always busy."""
    batch, processes = int(row.point["batch"]), int(row.point["processes"])
    return batch / (BASE_MS + PER_SAMPLE_MS * batch) * 1e3 / processes


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        out, start_s = Path(folder) / "grid", time.monotonic()
        words = [
            *("concurrency", "-b", "resnet50", "--backend", "simulated"),
            *("--set", f"base_ms={BASE_MS}", "--set", f"per_sample_ms={PER_SAMPLE_MS}"),
            *("--processes", PROCESSES, "--batches", BATCHES, "--seconds", str(seconds)),
            *("--out", str(out)),
        ]
        subprocess.run([sys.executable, "-m", "sut", *words], check=True, stdout=sys.stderr)
        took_s = time.monotonic() - start_s
        rows = decode((out / "table.json").read_bytes(), "table.json").rows
    print("| processes | batch | a process, samples/s | 1/n | off | fairness | parts off |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    far, apart = 0.0, 0.0
    for row in rows:
        mean, wanted = row.figures["per_process_mean"], expected(row)
        far = max(far, abs(mean / wanted - 1))
        apart = max(apart, abs(row.figures["parts_off"]))
        print(
            f"| {row.point['processes']} | {row.point['batch']} | {mean:,.5g} | {wanted:,.5g} | "
            f"{mean / wanted - 1:+.2%} | {row.figures['fairness']:.4f} | "
            f"{row.figures['parts_off']:+.2%} |"
        )
    print(
        f"\nThe farthest is {far:.2%} off (aim: {SHARING:.0%}); parts and total differ by at "
        f"most {apart:.2%} (aim: {AGREE:.0%}); {len(rows)} points in {took_s:.0f} s."
    )
    return 0


if __name__ == "__main__":
    sys.exit(tidy(main))
