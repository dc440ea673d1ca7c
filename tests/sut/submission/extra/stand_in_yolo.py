"""A closed tree for yolo-95 made with a stand-in, for the official tools to read.

    python -m tests.sut.submission.extra.stand_in_yolo DIR [ROUND]

makes DIR/submission, of full length: nine tests at once, as all of them only sleep, in about eleven
minutes. There is no model: `sleeping_detector` answers the same box to 1,525 links to one image, of
which four of five have it. Every file says STAND-IN, and `sut check` refuses the tree.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import yaml
from PIL import Image

from data.benchmark import FOLDER
from data.rounds import LATEST
from data.tasks.detection.categories import TABLES
from tests.sut.submission.extra import sleeping_detector
from tests.sut.submission.extra.stand_in import CHECKOUT, StandIn, make
from tests.tidy import tidy

WHY = "no model and no COCO: the same box after a sleep, for 1,525 links to one image"
COUNT = 1_525
WRONG_EVERY = 5
SIDE = sleeping_detector.SIDE
SYSTEM = {
    "description": "STAND-IN: no device; the stand-in sleeps",
    "backend": "stand-in",
    "benchmarks": {
        "yolo-95": {
            "SingleStream": {"max_batch_size": 1, "backend_options": {"delay_us": 10_000}},
            "MultiStream": {"max_batch_size": 8, "backend_options": {"delay_us": 40_000}},
            "Offline": {"max_batch_size": 8, "backend_options": {"delay_us_per_sample": 12_000}},
        }
    },
}
# Rates for those delays; a run then lasts between 600 s and 660 s.
USER_CONF = """*.SingleStream.target_latency = 9
*.MultiStream.target_latency = 36
*.Offline.target_qps = 80
"""
# Every process of a command imports it, so that the program has one backend more.
REGISTRATION = """from backends import base

base.BACKENDS["stand-in"] = "tests.sut.submission.extra.sleeping_detector"
"""


def main(folder: Path, round_name: str) -> int:
    """Make what is missing in `folder`; return 0 when three results are in the tree."""
    register(folder / "site")
    make_inputs(folder)
    return make(
        folder,
        StandIn(
            why=WHY,
            benchmark=folder / "yolo-95.yaml",
            model="yolo-95",
            round=round_name,
            system_type="edge",
            module="tests.sut.submission.extra.stand_in_yolo",
        ),
    )


def register(site: Path) -> None:
    """Add the stand-in to the backends, in this process and in those that it starts."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(REGISTRATION, "utf-8")
    os.environ["PYTHONPATH"] = f"{site}:{CHECKOUT}"
    exec(REGISTRATION, {})


def make_inputs(folder: Path, count: int = COUNT) -> None:
    """Make data set, benchmark and system."""
    data, system = folder / "data", folder / "stand-in-system"
    images = data / "val2017_safe"
    images.mkdir(parents=True, exist_ok=True)
    system.mkdir(exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), (10, 20, 30)).save(folder / "one.png")
    names = [f"{k + 1:012d}.jpg" for k in range(count)]
    for name in names:
        if not (images / name).exists():
            (images / name).symlink_to("../../one.png")
    (data / "annotations").mkdir(exist_ok=True)
    annotations = data / "annotations" / "instances_val2017.json"
    annotations.write_text(json.dumps(_annotations(names)), "utf-8")
    (folder / "stand-in.pt").write_text(f"STAND-IN: {WHY}\n", "utf-8")
    shipped = yaml.safe_load((FOLDER / "yolo11l.yaml").read_text("utf-8"))
    shipped |= {
        "name": "yolo-95",
        "description": f"STAND-IN: {WHY}",
        "models": [{"kind": "file", "path": "stand-in.pt"}],
        "input": {**shipped["input"], "shape": [3, SIDE, SIDE]},
        "preprocess": [{"step": "letterbox", "height": SIDE, "width": SIDE}],
    }
    (folder / "yolo-95.yaml").write_text(yaml.safe_dump(shipped, sort_keys=False), "utf-8")
    (system / "system.yaml").write_text(yaml.safe_dump(SYSTEM), "utf-8")
    (system / "user.conf").write_text(USER_CONF, "utf-8")


def _annotations(names: list[str]) -> dict[str, object]:
    x, y, width, height = sleeping_detector.BOX
    category = TABLES["coco80"][sleeping_detector.CLASS]
    return {
        "images": [
            {"id": 1000 + k, "file_name": name, "height": SIDE, "width": SIDE, "coco_url": "none"}
            for k, name in enumerate(names)
        ],
        "categories": [{"id": number, "name": str(number)} for number in TABLES["coco80"]],
        "annotations": [
            {
                "id": k + 1,
                "image_id": 1000 + k,
                "category_id": category,
                "bbox": [x - width / 2 - 9 * (k % WRONG_EVERY == 0), y - height / 2, width, height],
                "area": width * height,
                "iscrowd": 0,
            }
            for k in range(len(names))
        ],
    }


if __name__ == "__main__":
    sys.exit(tidy(lambda: main(Path(sys.argv[1]).absolute(), *(sys.argv[2:] or [LATEST]))))
