"""The files that a user gives, each with a good one, its reader, and what the reader ignored."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import yaml

from data.accuracy import score
from data.benchmark import FOLDER, benchmark_names, load_benchmark
from data.dataset_schema import ArraysData, CocoData, FolderData, ImagenetData
from data.datasets.arrays import list_arrays
from data.datasets.coco import list_coco
from data.datasets.folder import list_folder
from data.datasets.imagenet import list_imagenet
from data.schema import AccuracyRule, InputTensor
from data.tasks.classification import read_label
from data.tasks.detection.truth import ImageTruth, TrueBox
from scenarios import scenario, scenario_names
from sut.base.environment import ROOT
from sut.base.errors import SutError
from sut.config import user_conf
from sut.config.system import SYSTEM_FILE, SYSTEMS, read_system
from sut.config.tuned import TUNED_FILE, read_tuned
from sut.record import result as results
from sut.record.importers.read import read_tables
from sut.record.loadgen_logs import DETAIL_FILE, read_detail
from sut.record.table import TABLE_FILE, Row, Table, encode
from sut.report.compare import compare, gate
from sut.report.compare_sources import read_side
from sut.report.compare_text import as_json, lines
from sut.submission import system as system_json
from sut.sweep.plan_file import as_settings, read_plan
from tests.fuzz import pages
from tests.sut.record.importers import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODELS = (*benchmark_names(), "own")
ARRAYS, ARRAY = "arrays.npz", InputTensor("ids", (6,), "int64")
LABELS, IMAGES = "labels.csv", tuple(f"image-{k}.png" for k in range(6))
SUMMARY = Path(__file__).parents[1] / "sut" / "record" / "summary_schema_1.json"
IMPORTED = {
    "perf_analyzer": examples.PERF_ANALYZER,
    "perf_analyzer, verbose": examples.VERBOSE,
    "study on Triton": examples.STUDY,
    "model_analyzer": examples.INFERENCE,
    "model_analyzer, GPUs": examples.GPUS,
    "trtexec": examples.trtexec(options=" --shapes=x:8x3"),
    "trtexec, times": examples.times(5),
    "summary log": examples.summary("Server", "Scheduled samples per second : 99.5"),
}
_TUNED = """\
tuned:
- benchmark: resnet50
  scenario: Server
  backend: simulated
  devices: ['0', '1']
  harness:
    max_batch_size: 26
    max_queue_delay_us: 500
    backend_options: {base_ms: 1.5}
  target_qps: 1234.5
  found: 5 of 5 runs VALID
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file.

    Attributes:
        name: for the report.
        good: the content of a good file.
        read: reads the file at a path; returns what in it was accepted and then ignored.
        file: its name.
    """

    name: str
    good: bytes
    read: Callable[[Path], list[str]]
    file: str


def kinds() -> Iterator[Kind]:
    """Yield every kind."""
    conf = (SYSTEMS / "r740_4xt4" / "user.conf").read_bytes()
    conf += b"own.SingleStream.target_latency = 9\n*.Offline.min_duration = 1000\n"
    yield Kind("user.conf", conf, _user_conf, "user.conf")
    for name in ("resnet50", "efficientnet-lite0", "ssd-resnet34"):
        good = (FOLDER / f"{name}.yaml").read_bytes()
        yield Kind(f"YAML of {name}", good, _benchmark, "own.yaml")
    labels = "file,label\n" + "".join(f"{name},{k}\n" for k, name in enumerate(IMAGES))
    yield Kind("labels.csv", labels.encode(), _labels, LABELS)
    for file in (ARRAYS, f"{ARRAY.name}.npy"):
        yield Kind(file, _arrays(file), _read_arrays, file)
    lines = "".join(f"{name} {k}\n" for k, name in enumerate(IMAGES))
    yield Kind("val_map.txt", lines.encode(), _val_map, "val_map.txt")
    yield Kind("COCO annotations", _annotations(), _read_annotations, "boxes.json")
    yield Kind("accuracy log of boxes", _box_log(), _boxes, "mlperf_log_accuracy.json")
    yield Kind("detail log", _detail_log(), _detail, DETAIL_FILE)
    yield Kind("accuracy log", _accuracy_log(), _accuracy, "mlperf_log_accuracy.json")
    yield Kind("summary.json", SUMMARY.read_bytes(), _summary, "summary.json")
    system = (SYSTEMS / "r740_4xt4" / SYSTEM_FILE).read_bytes()
    yield Kind("system.yaml", system, _system, SYSTEM_FILE)
    yield Kind("tuned.yaml", _TUNED.encode(), _tuned, TUNED_FILE)
    plan = (ROOT / "experiments" / "tft.yaml").read_bytes()
    yield Kind("plan of a study", plan, _plan, "plan.yaml")
    fields = dict.fromkeys((*system_json.NEEDED, *system_json.PRESENT), "1")
    fields |= {"status": "available", "system_type": "edge"}
    described = json.dumps(fields, indent=2).encode()
    yield Kind("table.json, compared", _table(), _compared, TABLE_FILE)
    for name, text in IMPORTED.items():
        yield Kind(f"import: {name}", text.encode(), _import, "result")
    for file, good in pages.files():
        yield Kind(f"page of {file}", good, pages.draw, file)
    yield Kind("system.json", described, _system_json, system_json.SYSTEM_FILE)


def make_images(folder: Path) -> None:
    """Make files with the names of images; no reader opens them."""
    for name in IMAGES:
        (folder / name).touch()


def _user_conf(path: Path) -> list[str]:
    try:
        conf = user_conf.load(path, MODELS)
    except SutError as error:  # each problem has a line of its own
        for line in str(error).split("\n"):
            _check(line)
        raise Refused from error
    for model in MODELS:
        for name in scenario_names():
            conf.effective(model, name)
            conf.closed_problems(model, name)
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    # A line that repeats another one word by word says nothing else.
    read = {lines[entry.line - 1].split("#")[0].strip() for entry in conf.entries}
    return [
        line
        for number, line in enumerate(lines, 1)
        if (said := line.split("#")[0].strip()) and said not in read
        if not any(f":{number}:" in warning for warning in conf.warnings)
    ]


def _benchmark(path: Path) -> list[str]:
    spec = load_benchmark(str(path))
    return _unread_keys(path, msgspec.to_builtins(spec, enc_hook=str))


def _system(path: Path) -> list[str]:
    return _unread_keys(path, msgspec.to_builtins(read_system(path.parent)))


def _tuned(path: Path) -> list[str]:
    return _unread_keys(path, msgspec.to_builtins(read_tuned(path.parent)))


def _plan(path: Path) -> list[str]:
    return _unread_keys(path, as_settings(read_plan(path)[0]))


def _unread_keys(path: Path, taken: object) -> list[str]:
    """Return the keys of a YAML file that are nowhere in what its reader made of it."""
    with path.open(encoding="utf-8-sig") as file:
        written = yaml.safe_load(file)
    known = set(_keys(taken))
    return [key for key in _keys(written) if key not in known]


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str):  # readers turn other keys into text
                yield key
            yield from _keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _keys(inner)


def _labels(path: Path) -> list[str]:
    options = FolderData(labels=LABELS, classes=10)
    listing = list_folder(options, path.parent, read_label)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [",".join(row) for row in csv.reader(file) if row]
    return rows[1:] if len(rows) - len(listing.names) not in {0, 1} else []


def _arrays(file: str) -> bytes:
    """Return an archive of an input and labels, or the file of the input."""
    held, content = np.arange(60, dtype=np.int64).reshape(10, 6), io.BytesIO()
    if file == ARRAYS:
        np.savez_compressed(content, ids=held, labels=np.arange(10))
    else:
        np.save(content, held)
    return content.getvalue()


def _read_arrays(path: Path) -> list[str]:
    labels = "labels" if path.name == ARRAYS else None
    listing = list_arrays(ArraysData(labels=labels), path, [ARRAY], read_label)
    for array in listing.arrays:
        array.sum()  # a file that is mapped is read only now
    return []


def _val_map(path: Path) -> list[str]:
    listing = list_imagenet(ImagenetData(), path.parent, read_label)
    lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    return lines if len(lines) != len(listing.names) else []


def _annotations() -> bytes:
    """Return annotations with a box for each image."""
    content = {
        "images": [
            {"id": k, "file_name": name, "height": 10, "width": 12} for k, name in enumerate(IMAGES)
        ],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 3, "bbox": [1.5, 2, 4, 5], "area": 18.5,
             "iscrowd": int(k == 4), "segmentation": [[1, 2, 3, 4, 5, 6]]}
            for k in range(len(IMAGES))
        ],
        "categories": [{"id": 3, "name": "car"}],
    }  # fmt: skip
    return json.dumps(content, indent=0).encode()


def _read_annotations(path: Path) -> list[str]:
    list_coco(CocoData(annotations=path.name, images="."), path.parent)
    return []


def _box_log() -> bytes:
    boxes = np.array([[0, 0.2, 0.1, 0.7, 0.5, 0.9, 3], [0, 0, 0, 1, 1, 0.1, 4]], np.float32)
    records = [
        {
            "seq_id": k,
            "qsl_idx": k,
            "data": (boxes + np.eye(7)[0] * k).astype("<f4").tobytes().hex(),
        }
        for k in range(6)
    ]
    return json.dumps(records, indent=0).encode()


def _boxes(path: Path) -> list[str]:
    objects = [TrueBox(k, 3, (1, 2), (4, 5), 20) for k in range(6)]
    truth = [ImageTruth(k, 10, 12, (box,)) for k, box in enumerate(objects)]
    score(path, truth, AccuracyRule(metric="mAP"))
    return []


def _detail_log() -> bytes:
    """Return a log with the records that the four scenarios read."""
    values: dict[str, object] = {
        "loadgen_version": "6.0.17", "effective_scenario": "Server",
        "effective_test_mode": "PerformanceOnly", "effective_target_latency_ns": 15_000_000,
        "effective_min_duration_ms": 600_000, "effective_min_query_count": 100,
        "result_validity": "INVALID", "result_min_duration_met": False,
        "result_min_queries_met": True, "result_perf_constraints_met": False,
        "early_stopping_met": False, "early_stopping_latency_ss": 1_000,
        "early_stopping_latency_ms": 1_000, "result_samples_per_second": 12.5,
        "result_completed_samples_per_sec": 12.5, "result_mean_latency_ns": 1_000,
        "result_query_count": 500, "result_overlatency_query_count": 3, "num_errors": 1,
        "result_mean_query_latency_ns": 900,
    }  # fmt: skip
    percentiles = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")
    for kind in ("", "per_query_"):
        values |= {f"result_{p}_percentile_{kind}latency_ns": 5_000 for p in percentiles}
    lines = []
    for key, value in values.items():
        record = {
            "key": key, "value": value, "time_ms": 1.5, "namespace": "mlperf::logging",
            "event_type": "POINT_IN_TIME",
            "metadata": {"is_error": key == "num_errors", "is_warning": False, "file": "x.cc"},
        }  # fmt: skip
        lines.append(f":::MLLOG {json.dumps(record)}\n")
    return "".join(lines).encode()


def _detail(path: Path) -> list[str]:
    detail = read_detail(path)
    # A record that is missing ends one of these; the others are still tried.
    for rules in map(scenario, scenario_names()):
        for ask in (rules.metric, rules.latency_ns, rules.reasons):
            try:
                str(ask(detail))
            except SutError as error:
                _check(str(error))
    return []


def _accuracy_log() -> bytes:
    records = [
        {"seq_id": k, "qsl_idx": k, "data": bytes([k, 0, 0, 0]).hex().upper()} for k in range(6)
    ]
    return json.dumps(records, indent=0).encode()


def _accuracy(path: Path) -> list[str]:
    score(path, tuple(range(6)), AccuracyRule())
    return []


def _summary(path: Path) -> list[str]:
    results.to_dict(results.decode(path.read_bytes(), str(path)))
    return []


def _table() -> bytes:
    rows = tuple(
        Row(point={"batch": k}, figures={"samples_per_s": 10.0 * k}, windows=(9.0, 11.0) * 8)
        for k in range(1, 8)
    )
    configuration = {"Backend": "torch"}
    return encode(
        Table(title="t", source="s", load="offline", configuration=configuration, rows=rows)
    )


def _compared(path: Path) -> list[str]:
    sides = read_side(str(path)), read_side(str(path))
    found = compare(*sides, "samples_per_s")
    judged = gate(found, 0.97)
    list(lines(found, judged))
    json.dumps(as_json(found, judged), allow_nan=False)
    return []


def _import(path: Path) -> list[str]:
    for table in read_tables(path):
        encode(table)
    return []


def _system_json(path: Path) -> list[str]:
    system_json.load(path.parent, "own", fast=False)
    return []


class Refused(Exception):
    """A file was refused, with messages that are good."""


def is_one_line(text: str) -> bool:
    """Return whether a message is one printable line."""
    return bool(text) and text.isprintable()


def _check(text: str) -> None:
    if not is_one_line(text):
        raise ValueError(f"a message of several lines or strange characters: {text!a}")
