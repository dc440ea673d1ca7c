"""Single faults to plant in a good tree, and the code of the finding that must name each."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from sut.submission.truncate import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.sut.submission.helpers.good_tree import Tree


def _wrong_hash(tree: Tree) -> None:
    """State the hash of the log as it is after truncation."""
    from sut.base.files import sha256_file

    folder = tree.run("Server", "accuracy")
    path = folder / "accuracy.txt"
    line = path.read_text("utf-8").splitlines()[0]
    path.write_text(f"{line}\n\nhash={sha256_file(folder / 'mlperf_log_accuracy.json')}\n", "utf-8")


def _no_hash(tree: Tree) -> None:
    path = tree.run("Server", "accuracy") / "accuracy.txt"
    path.write_text(path.read_text("utf-8").splitlines()[0] + "\n", "utf-8")


def _low(tree: Tree) -> None:
    path = tree.run("Server", "accuracy") / "accuracy.txt"
    text = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(["accuracy=70.000%, good=35000, total=50000", *text[1:]]) + "\n")


def _long_log(tree: Tree) -> None:
    log = tree.run("Server", "accuracy") / "mlperf_log_accuracy.json"
    log.write_bytes(log.read_bytes() + b" " * MAX_BYTES)


def _empty_tree(tree: Tree) -> None:
    shutil.rmtree(tree.root)
    tree.root.mkdir()


def _duration(tree: Tree) -> None:
    tree.record("effective_min_duration_ms", 60_000)


def _conf(tree: Tree) -> None:
    path = tree.result() / "user.conf"
    path.write_text(path.read_text("utf-8") + "resnet50.Server.target_latency = 16\n", "utf-8")


def _other_speed(tree: Tree) -> None:
    tree.record("result_completed_samples_per_sec", 40.0, part="TEST01")


def _missing_source(tree: Tree) -> None:
    tree.remove(tree.folder / "src")


# Name: (what it does to the tree, the finding's code). The order is that of docs/submission.md.
FAULTS: Mapping[str, tuple[Callable[[Tree], object], str]] = {
    "an empty tree": (_empty_tree, "empty-tree"),
    "an INVALID result": (lambda t: t.record("result_validity", "INVALID"), "invalid-result"),
    "a LoadGen error in the performance log": (lambda t: t.error(), "loadgen-errors"),
    "a LoadGen error in the accuracy log": (lambda t: t.error(part="accuracy"), "loadgen-errors"),
    "no summary": (lambda t: t.remove(t.run() / "mlperf_log_summary.txt"), "summary-missing"),
    "a summary of another run": (
        lambda t: t.replace(t.run() / "mlperf_log_summary.txt", "is : VALID", "is : INVALID"),
        "summary-differs",
    ),
    "no performance run": (lambda t: t.remove(t.run()), "performance-log-missing"),
    "no accuracy.txt": (
        lambda t: t.remove(t.run(part="accuracy") / "accuracy.txt"),
        "accuracy-missing",
    ),
    "an accuracy below the target": (_low, "accuracy-low"),
    "no hash": (_no_hash, "hash-missing"),
    "a hash that does not match": (_wrong_hash, "wrong-hash"),
    "an accuracy log that is not truncated": (_long_log, "not-truncated"),
    "a scenario missing": (lambda t: t.remove(t.result("MultiStream")), "scenario-missing"),
    "a simulated result": (
        lambda t: t.edit(t.result() / "measurements.json", simulated=True),
        "simulated",
    ),
    "a result with synthetic data": (
        lambda t: t.edit(t.result() / "measurements.json", synthetic_data=True),
        "synthetic-data",
    ),
    "a user.conf that sets what closed forbids": (_conf, "closed-user-conf"),
    "ECC off": (
        lambda t: t.edit(t.system_json, accelerator_memory_configuration="GDDR6, ECC off"),
        "ecc-off",
    ),
    "settings that differ between the runs": (
        lambda t: t.record("effective_target_latency_ns", 14_000_000, part="accuracy"),
        "settings-differ",
    ),
    "the seeds of another round": (lambda t: t.record("effective_qsl_rng_seed", 1), "wrong-seed"),
    "too few samples in memory": (
        lambda t: t.record("effective_performance_sample_count", 512),
        "sample-count",
    ),
    "counts that the data set does not have": (
        lambda t: t.record("qsl_reported_total_count", 20, part="accuracy"),
        "count-not-real",
    ),
    "a minimum duration that is too short": (_duration, "duration-setting"),
    "a latency bound that is too large": (
        lambda t: t.record("effective_target_latency_ns", 20_000_000),
        "latency-bound",
    ),
    "early stopping not met": (lambda t: t.record("early_stopping_met", False), "early-stopping"),
    "a compliance test missing": (lambda t: t.remove(t.result() / "TEST04"), "audit-missing"),
    "a compliance test failed": (
        lambda t: t.replace(t.result() / "TEST01/verify_performance.txt", "PASS", "FAIL"),
        "audit-failed",
    ),
    "a compliance run of another speed": (_other_speed, "audit-differs"),
    "a performance run with audit settings": (
        lambda t: t.record("effective_performance_issue_same", True),
        "audit-settings",
    ),
    "a system field left blank": (lambda t: t.edit(t.system_json, cooling=""), "system-blank"),
    "a number of processors that is none": (
        lambda t: t.edit(t.system_json, host_processors_per_node="two"),
        "system-field",
    ),
    "another submitter in the system's description": (
        lambda t: t.edit(t.system_json, submitter="Other"),
        "system-folder",
    ),
    "no description of the system": (lambda t: t.remove(t.system_json), "system-missing"),
    "no README": (lambda t: t.remove(t.result() / "README.md"), "file-missing"),
    "no source code": (_missing_source, "source-missing"),
    "no calibration.md": (lambda t: t.remove(t.folder / "calibration.md"), "calibration-missing"),
    "a file of someone else beside the logs": (
        lambda t: (t.run() / "notes.txt").write_text("x", "utf-8"),
        "extra-file",
    ),
    "a file beside the divisions": (
        lambda t: (t.root / "notes.txt").write_text("x", "utf-8"),
        "extra-file",
    ),
}
