"""A detector that really runs: `make detect`.

NanoDet over real photos and the walking people of a clip, in the four scenarios and in accuracy
mode, with its boxes drawn into PNG files. The score is against a pseudo ground truth (truth.py):
the boxes of another network. It is no accuracy.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import yaml

from data.benchmark import FOLDER, load_benchmark
from data.model import resolve_model
from sut.base.environment import ROOT
from sut.base.errors import ConfigError, SutError
from tests.detect.draw import SHOWN, draw
from tests.detect.images import fetch, fill
from tests.detect.truth import CENTERNET, DESCRIPTION, write_pseudo_truth
from tests.tidy import tidy

NAME = "nanodet-pseudo-truth"
ACCURACY_LOG = "mlperf_log_accuracy.json"


def main() -> int:
    """Run it all; return the exit code of `sut run`."""
    parser = argparse.ArgumentParser(prog="python -m tests.detect", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    default = ROOT / "runs" / time.strftime("%Y%m%d-%H%M%S-detect")
    parser.add_argument("--out", type=Path, default=default, help="a new folder (runs/TIME-detect)")
    parser.add_argument("--min-duration-s", default="5", help="of each performance test (5)")
    arguments = parser.parse_args()
    try:
        return _run(arguments.out, arguments.min_duration_s)
    except SutError as error:
        print(f"make detect: {error}", file=sys.stderr)
        return error.exit_code


def _run(out: Path, min_duration_s: str) -> int:
    for benchmark in ("nanodet", str(CENTERNET)):  # npm may be missing, so it comes first
        resolve_model(load_benchmark(benchmark), None)
    photos, clip = fetch()
    if out.exists():
        raise ConfigError(f"--out {out}: it exists; expected the name of a new folder.")
    images, drawn = out / "images", out / "drawn"
    images.mkdir(parents=True)
    drawn.mkdir()
    paths = fill(images, photos, clip)
    truth = out / "pseudo-ground-truth.json"
    objects = write_pseudo_truth(images, truth)
    print(f"{len(paths)} images, {objects} objects of the pseudo ground truth: {truth}", flush=True)
    code = subprocess.run(
        [
            *(sys.executable, "-m", "sut", "run", "-b", str(_write_benchmark(out))),
            *("-s", "all", "--mode", "submission", "--min-duration-s", min_duration_s),
            *("--out", str(out / "run")),
        ],
        cwd=ROOT,
        check=False,
    ).returncode
    log = next((out / "run").rglob(ACCURACY_LOG), None)
    if log is None:
        return code
    counts = draw(log, paths, drawn)
    of_clip = [count for name, count in counts.items() if name.startswith("vtest")]
    print(
        f"mAP is against a {DESCRIPTION}: it is no accuracy.\n"
        f"{sum(counts.values())} boxes with a score of {SHOWN} or more, {sum(of_clip)} of them in "
        f"{len(of_clip)} frames of a clip. Look at them: {drawn}"
    )
    return code


def _write_benchmark(out: Path) -> Path:
    """Write NanoDet's benchmark with this data set; return the file."""
    benchmark = yaml.safe_load((FOLDER / "nanodet.yaml").read_text("utf-8"))
    benchmark["name"] = NAME
    benchmark["description"] += f"; mAP against a {DESCRIPTION}"
    benchmark["dataset"] |= {"folder": ".", "annotations": "pseudo-ground-truth.json"}
    benchmark["dataset"]["images"] = "images"
    del benchmark["accuracy"]["count"]
    path = out / f"{NAME}.yaml"
    path.write_text(yaml.safe_dump(benchmark, sort_keys=False), "utf-8")
    return path


if __name__ == "__main__":
    sys.exit(tidy(main))
