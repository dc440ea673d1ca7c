"""A closed submission of resnet50 in four scenarios, in which nothing is wrong.

LoadGen's logs are written record by record with the keys that checkers read, as a run of 600 s
leaves them; the rest of the tree is plain text. `Tree` names its folders and changes its files.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.rounds import round_named
from sut.submission import system as system_json
from sut.submission.compliance import verify_performance
from sut.submission.network import NETWORK_FIELDS
from sut.submission.truncate import place_accuracy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.submission.check import Report

ROUND = round_named("v6.1")
SUBMITTER, SYSTEM, BENCHMARK = "Acme", "host1", "resnet50"
SCENARIOS = ("SingleStream", "MultiStream", "Offline", "Server")
_METRICS = {
    "SingleStream": ("early_stopping_latency_ss", 10_600_000, "90.0th"),
    "MultiStream": ("early_stopping_latency_ms", 43_800_000, "99.0th"),
    "Offline": ("result_samples_per_second", 82.8, ""),
    "Server": ("result_completed_samples_per_sec", 50.39, ""),
}
_CONF = {
    "SingleStream": "resnet50.SingleStream.target_latency = 9\n",
    "MultiStream": "resnet50.MultiStream.target_latency = 36\n",
    "Offline": "resnet50.Offline.target_qps = 82\n",
    "Server": "resnet50.Server.target_qps = 50\n",
}
_AUDITS: Mapping[str, Mapping[str, object]] = {
    "TEST01": {
        "effective_accuracy_log_rng_seed": 720381539243781796,
        "effective_accuracy_log_sampling_target": 4096,
    },
    "TEST04": {"effective_performance_issue_same": True},
}
QUERIES = 30_000  # of each performance run in the network division
QDL = {
    "format": "raw",
    "messages": QUERIES,
    "samples": QUERIES,
    "bytes": QUERIES * 602_112,
    "machines": ["loadgen", "a", "b"],
}
SETTINGS = {"harness": {"max_batch_size": 8}, "model_sha256": "0" * 64, "data_digest": "1" * 64}


@dataclass(frozen=True)
class Tree:
    """A submission's tree; `layout` is "flat" or "split"."""

    root: Path
    division: str = "closed"
    submitter: str = SUBMITTER
    system: str = SYSTEM

    @property
    def folder(self) -> Path:
        """DIVISION/SUBMITTER."""
        return self.root / self.division / self.submitter

    @property
    def system_json(self) -> Path:
        """The system's description."""
        return self.folder / "systems" / f"{self.system}.json"

    def result(self, scenario: str = "Server") -> Path:
        """Return the folder of a scenario."""
        return self.folder / "results" / self.system / BENCHMARK / scenario

    def run(self, scenario: str = "Server", part: str = "performance") -> Path:
        """Return the folder of LoadGen's logs of a part."""
        if part == "accuracy":
            return self.result(scenario) / "accuracy"
        parent = self.result(scenario) / ("" if part == "performance" else part)
        return parent / "performance" / "run_1"

    def record(self, key: str, value: object, **where: str) -> None:
        """Give a record of a detail log another value."""
        path = self.run(**where) / "mlperf_log_detail.txt"
        lines = path.read_text("utf-8").splitlines(keepends=True)
        found = [line for line in lines if f'"key": "{key}"' in line]
        assert found, f"{path} has no {key}"
        changed = [_record(key, value) if line in found else line for line in lines]
        path.write_text("".join(changed), "utf-8")

    def add(self, key: str, value: object, **where: str) -> None:
        """Add a record to a detail log, in place of an earlier one of that key."""
        path = self.run(**where) / "mlperf_log_detail.txt"
        lines = path.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if f'"key": "{key}"' not in line]
        path.write_text("".join([*kept[:-1], _record(key, value), kept[-1]]), "utf-8")

    def error(self, **where: str) -> None:
        """Add an error of LoadGen to a detail log, before its last record."""
        path = self.run(**where) / "mlperf_log_detail.txt"
        lines = path.read_text("utf-8").splitlines(keepends=True)
        lines.insert(len(lines) - 1, _record("error_runtime", "Something went wrong", error=True))
        path.write_text("".join(lines), "utf-8")
        if "num_errors" in path.read_text("utf-8"):
            self.record("num_errors", 1, **where)

    def edit(self, path: Path, **fields: object) -> None:
        """Give fields of a JSON file other values; None removes one."""
        content = {**json.loads(path.read_text("utf-8")), **fields}
        kept = {name: value for name, value in content.items() if value is not None}
        path.write_text(json.dumps(kept), "utf-8")

    def replace(self, path: Path, old: str, new: str) -> None:
        """Replace text in a file that has it."""
        text = path.read_text("utf-8")
        assert old in text, f"{path} has no {old!r}"
        path.write_text(text.replace(old, new), "utf-8")

    def remove(self, path: Path) -> None:
        """Remove a file or a folder that is there."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def make_tree(root: Path) -> Tree:
    """Make the tree in `root`."""
    tree = Tree(root)
    for scenario in SCENARIOS:
        _result(tree, scenario)
    _text(tree.folder / "calibration.md", "No quantization.\n")
    _text(tree.folder / "src" / BENCHMARK / "README.md", "The source.\n")
    system: dict[str, object] = dict.fromkeys((*system_json.NEEDED, *system_json.PRESENT), "some")
    system |= {"submitter": SUBMITTER, "division": "closed", "status": "available"}
    system |= {"system_type": "datacenter,edge", "number_of_nodes": 1, "accelerators_per_node": "0"}
    system |= {"host_processors_per_node": "2"}
    _text(tree.system_json, json.dumps(system))
    return tree


def _result(tree: Tree, scenario: str) -> None:
    folder = tree.result(scenario)
    _logs(tree.run(scenario), scenario, performance=True)
    _logs(tree.run(scenario, "accuracy"), scenario, performance=False)
    _accuracy(tree, folder / "accuracy", 50_000)
    for test in ("TEST01", "TEST04"):
        _logs(tree.run(scenario, test), scenario, performance=True, changes=_AUDITS[test])
        verdict = verify_performance(test, tree.run(scenario), tree.run(scenario, test))
        _text(folder / test / "verify_performance.txt", verdict.text)
    _text(folder / "TEST01" / "verify_accuracy.txt", "TEST PASS\n\n")
    _accuracy(tree, folder / "TEST01" / "accuracy", 1024)
    _text(folder / "README.md", "How to run.\n")
    _text(folder / "user.conf", _CONF[scenario])
    measured = dict.fromkeys(
        (
            "input_data_types",
            "retraining",
            "starting_weights_filename",
            "weight_data_types",
            "weight_transformations",
        ),
        "no",
    )
    tests = dict.fromkeys(("performance", "accuracy", "TEST01", "TEST04"), SETTINGS)
    _text(folder / "measurements.json", json.dumps({**measured, "tests": tests}))


def _accuracy(tree: Tree, folder: Path, count: int) -> None:
    """Write a log of 300 records, truncated, with the hash of the whole."""
    whole = tree.root / "whole.json"
    lines = [f'{{ "seq_id" : {k}, "qsl_idx" : {k}, "data" : "00000000" }}' for k in range(300)]
    _text(whole, "[\n" + ",\n".join(lines) + "\n]\n")
    folder.mkdir(parents=True, exist_ok=True)
    place_accuracy(whole, f"accuracy=76.456%, good={count * 76 // 100}, total={count}", folder)
    whole.unlink()


def _logs(
    folder: Path, scenario: str, *, performance: bool, changes: Mapping[str, object] | None = None
) -> None:
    values = {**_values(scenario, performance=performance), **(changes or {})}
    lines = [_record(key, value) for key, value in values.items()]
    if not performance:
        lines += [_record("power_end", "") for _ in range(-(-50_000 // 1024))]
    _text(folder / "mlperf_log_detail.txt", "".join(lines))
    _, value, percentile = _METRICS[scenario]
    text = f"Scenario : {scenario}\nMode     : PerformanceOnly\n"
    if percentile:
        text += f" * Early stopping {percentile} percentile estimate: {value}\n"
    elif scenario == "Server":
        text += f"Completed samples per second    : {value}\n"
    else:
        text += f"Samples per second: {value}\n"
    text += "Result is : VALID\n"
    _text(folder / "mlperf_log_summary.txt", text if performance else "No warnings encountered.\n")


def _values(scenario: str, *, performance: bool) -> dict[str, object]:
    """Return what LoadGen logs, by key; the last key is the one that it writes last."""
    found: dict[str, object] = {
        "loadgen_version": "6.0.17 @ d6147c7eb7",
        "sut_name": "PyFastSUT",
        "qsl_reported_total_count": 50_000,
        "effective_scenario": scenario,
        "effective_test_mode": "PerformanceOnly" if performance else "AccuracyOnly",
        "effective_min_duration_ms": 600_000,
        "effective_min_query_count": 1 if scenario == "Offline" else 662,
        "effective_samples_per_query": {"Offline": 54_120, "MultiStream": 8}.get(scenario, 1),
        "effective_target_qps": {"SingleStream": 111.111, "MultiStream": 27.7778, "Server": 50}.get(
            scenario, 82
        ),
        "effective_target_latency_ns": 15_000_000 if scenario == "Server" else 0,
        "effective_performance_sample_count": 1024,
        "effective_accuracy_sample_count": 50_000,
        "effective_accuracy_log_rng_seed": 0,
        "effective_accuracy_log_sampling_target": 0,
        "effective_performance_issue_same": False,
        "effective_performance_issue_unique": False,
        **{f"effective_{name}": seed for name, seed in asdict(ROUND.seeds).items()},
    }
    if not performance:
        return found
    name, value, _ = _METRICS[scenario]
    return found | {
        "result_validity": "VALID",
        "result_min_duration_met": True,
        "early_stopping_met": True,
        "early_stopping_result": "",
        name: value,
        "result_99.00_percentile_latency_ns": 5_000_000,
        "num_errors": 0,
    }


def _record(key: str, value: object, *, error: bool = False) -> str:
    metadata = {"is_error": error, "is_warning": False, "file": "x.cc", "line_no": 1, "pid": 1,
                "tid": 1}  # fmt: skip
    record = {
        "key": key, "value": value, "time_ms": 0.1, "namespace": "mlperf::logging",
        "event_type": "POINT_IN_TIME", "metadata": metadata,
    }  # fmt: skip
    return f":::MLLOG {json.dumps(record)}\n"


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def to_round_5_1(tree: Tree) -> None:
    """Turn the tree into one of v5.1: other folders, other seeds."""
    for scenario in SCENARIOS:
        result, key = tree.result(scenario), Path(SYSTEM, BENCHMARK, scenario)
        for part in ("performance", "accuracy", "TEST01", "TEST04"):
            for name, seed in asdict(round_named("v5.1").seeds).items():
                tree.record(f"effective_{name}", seed, scenario=scenario, part=part)
        measured = tree.folder / "measurements" / key
        measured.mkdir(parents=True)
        (result / "measurements.json").rename(measured / f"{SYSTEM}_{scenario}.json")
        for name in ("user.conf", "README.md"):
            (result / name).rename(measured / name)
        compliance = tree.folder / "compliance" / key
        compliance.mkdir(parents=True)
        for test in ("TEST01", "TEST04"):
            (result / test).rename(compliance / test)
    (tree.folder / "src").rename(tree.folder / "code")


def to_open(tree: Tree) -> Tree:
    """Move the tree into the open division, without its compliance tests."""
    tree.folder.parent.rename(tree.root / "open")
    opened = replace(tree, division="open")
    opened.edit(opened.system_json, division="open")
    for scenario in SCENARIOS:
        for test in ("TEST01", "TEST04"):
            opened.remove(opened.result(scenario) / test)
    return opened


def to_network(tree: Tree) -> Tree:
    """Move the tree into the network division, with all that it asks for."""
    tree.folder.parent.rename(tree.root / "network")
    moved = replace(tree, division="network")
    fields = {**dict.fromkeys(NETWORK_FIELDS, "some"), "network_type": "Ethernet"}
    fields |= {"network_rate": "100 Gb/s", "number_nic_loadgen": "1"}
    moved.edit(moved.system_json, division="network", is_network="true", **fields)
    _text(moved.folder / "documentation" / "network.svg", "<svg/>\n")
    _text(moved.folder / "documentation" / "network.md", "The QDL sends each sample alone.\n")
    for scenario in SCENARIOS:
        for part in ("performance", "accuracy", "TEST01", "TEST04"):
            name = "Multi-Node SUT: Network SUT a, Network SUT b"
            moved.record("sut_name", name, scenario=scenario, part=part)
        moved.add("get_sut_name_duration_ns", 310_000, scenario=scenario)
        moved.add("result_query_count", QUERIES, scenario=scenario)
        moved.edit(moved.result(scenario) / "measurements.json", network=QDL)
    return moved


def codes(report: Report) -> set[str]:
    """Return the codes of a report's errors."""
    return {finding.code for finding in report.findings if finding.severity == "error"}


def make_old_result(root: Path) -> Path:
    """Make a Server result of v0.5 in `root`; return its folder."""
    folder = root / "closed" / SUBMITTER
    key = Path(SYSTEM, "resnet", "Server")
    old = asdict(round_named("v0.5").seeds)
    seeds = "".join(f"{name} : {seed}\n" for name, seed in old.items())
    for number in range(1, 6):
        run = folder / "results" / key / "performance" / f"run_{number}"
        head = '"pid": 1, "tid": 1, "ts": 1ns : '
        lines = ["version : .5a1", *seeds.splitlines()]
        _text(run / "mlperf_log_detail.txt", "".join(f"{head}{line}\n" for line in lines))
        _text(
            run / "mlperf_log_summary.txt",
            "SUT name : LWIS_Server\nScenario : Server\nMode     : Performance\n"
            "Result is : VALID\nperformance_sample_count : 1024\n" + seeds,
        )
    accuracy = "accuracy=76.034%, good=38017, total=50000\n"
    _text(folder / "results" / key / "accuracy" / "accuracy.txt", accuracy)
    for name in ("mlperf.conf", "user.conf", "README.md", f"{SYSTEM}_server.json"):
        _text(folder / "measurements" / key / name, "{}\n")
    system = dict.fromkeys(system_json.NEEDED, "some")
    system |= {"submitter": SUBMITTER, "division": "closed"}
    _text(folder / "systems" / f"{SYSTEM}.json", json.dumps(system))
    _text(folder / "code" / "resnet" / "README.md", "The source.\n")
    return folder / "results" / key
