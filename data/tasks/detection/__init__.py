"""Object detection: the boxes of each sample, judged as MLPerf's accuracy scripts do.

Each kind of postprocess is a module that gives candidates; `records` chooses the best and makes
the records. Sources: mlcommons/inference, vision/classification_and_detection: yolo/
yolo_loadgen.py, python/coco.py, python/openimages.py, tools/accuracy-coco.py and
tools/accuracy-openimages.py.
"""

from __future__ import annotations

from data.tasks.base import Task
from data.tasks.detection.anchors import Anchors
from data.tasks.detection.distances import Distances
from data.tasks.detection.finished import Detections
from data.tasks.detection.heatmap import Heatmap
from data.tasks.detection.judge import JUDGE, METRIC
from data.tasks.detection.yolo import Yolo

__all__ = ["TASK"]

TASK = Task(
    name="detection",
    postprocesses=(Detections, Yolo, Anchors, Distances, Heatmap),
    metric=METRIC,
    judge=JUDGE,
)
