"""Compares our mAP with that of MLPerf's accuracy scripts, on made logs of the size of a benchmark.

    python -m tests.detect.official INFERENCE [IMAGES]

INFERENCE is a checkout of mlcommons/inference. For each of six detectors, from good to bad, one of
80 categories of COCO each and one of OpenImages, both score the same log of IMAGES images (1,525),
and must print the same line. The reference publishes what YOLO11 n to x answered
(yolo/yolo_result_10232025), but the files are in Git LFS, so that the answers here are made.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data.accuracy import score
from data.dataset_schema import CocoData
from data.datasets.coco import list_coco
from data.schema import AccuracyRule
from tests.data.tasks.detection import made

RULE = AccuracyRule(metric="mAP")
TOOLS = "vision/classification_and_detection/tools"
SCRIPTS = {
    made.COCO: ("accuracy-coco.py", "--coco-dir"),
    made.OPENIMAGES: ("accuracy-openimages.py", "--openimages-dir"),
}
SPREADS = (0.005, 0.01, 0.02, 0.03, 0.05)


def main(inference: Path, images: int = 1525) -> int:
    """Print both lines for each log; return 0 if they are the same."""
    kinds = [
        (made.COCO, made.Kind(images, 80, 60, spread, seed)) for seed, spread in enumerate(SPREADS)
    ]
    kinds.append((made.OPENIMAGES, made.Kind(images, 264, 60, 0.01, 99)))
    different = 0
    print(f"{images} images a log\n{'spread':>7} {'boxes':>8} {'theirs':>14} {'ours':>14}  95 %")
    for truth, kind in kinds:
        with tempfile.TemporaryDirectory() as scratch:
            different += not _compare(inference, Path(scratch), truth, kind)
    print(f"{len(kinds)} logs, {different} differ")
    return 1 if different else 0


def _compare(inference: Path, folder: Path, truth: str, kind: made.Kind) -> bool:
    path, log = made.write(folder, truth, kind)
    for image in json.loads(path.read_text())["images"]:
        (folder / image["file_name"]).touch()
    script, option = SCRIPTS[truth]
    tool = str(inference / TOOLS / script)
    words = [sys.executable, tool, "--mlperf-accuracy-file", str(log), option, str(folder)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    theirs: str = done.stdout.splitlines()[-1]
    started_s = time.process_time()
    labels = list_coco(CocoData(annotations=truth, images="."), folder).labels
    ours = score(log, labels, RULE)
    boxes = sum(len(record["data"]) for record in json.loads(log.read_text())) // 56
    low, high = ours.interval_95 or (0, 1)
    print(f"{kind.spread:7} {boxes:8,} {theirs:>14} {ours.line:>14}  {low:.3f} to {high:.3f}, "
          f"{time.process_time() - started_s:.0f} s", flush=True)  # fmt: skip
    return theirs == ours.line


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), *map(int, sys.argv[2:])))
