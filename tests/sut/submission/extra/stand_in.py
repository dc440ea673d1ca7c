"""A closed tree for resnet50 made with a stand-in, for the official tools to read.

    python -m tests.sut.submission.extra.stand_in DIR [ROUND]

makes DIR/submission, of full length: sixteen tests at once, as all of them only sleep, in about
eleven minutes. There is no model, the device is the null backend with a delay, and the data set is
50,000 links to one pixel. Every file says STAND-IN, and `sut check` refuses the tree.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from PIL import Image

from data.benchmark import load_benchmark
from data.preprocess import prepare
from data.rounds import LATEST, require_loadgen, round_named
from sut.load.loadgen import version
from sut.record.run_folder import SUMMARY_FILE
from sut.submission import network
from sut.submission import system as system_json
from sut.submission.compliance import TESTS, audit_config
from sut.submission.order import Order
from sut.submission.submit import submit
from sut.verbs.submit import report
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.submission.order import Division

CHECKOUT = Path(__file__).resolve().parents[4]
WHY = "no model, no device and no ImageNet: zeros after a sleep, for 50,000 links to one pixel"
COUNT = 50_000
RIGHT_SHARE = 5  # four of five labels are 0, which every answer is
SUBMITTER = "STAND-IN"
BENCHMARK = {
    "name": "resnet50",
    "description": f"STAND-IN: {WHY}",
    "mlperf": "resnet",
    "input": {"name": "x", "shape": [3, 1, 1], "dtype": "float32", "layout": "NCHW"},
    "dataset": {"kind": "imagenet", "folder": "data"},
    "accuracy": {"metric": "top1", "target": 0.756954, "count": COUNT},
    "performance_sample_count": 1024,
}
SYSTEM = {
    "description": "STAND-IN: no device; the null backend sleeps",
    "backend": "null",
    "benchmarks": {
        "resnet50": {
            "SingleStream": {"max_batch_size": 1, "backend_options": {"delay_us": 10_000}},
            "MultiStream": {"max_batch_size": 8, "backend_options": {"delay_us": 40_000}},
            "Server": {"max_batch_size": 8, "backend_options": {"delay_us": 2_000}},
            "Offline": {"max_batch_size": 8, "backend_options": {"delay_us_per_sample": 12_000}},
        }
    },
}
# Rates for those delays; a run then lasts between 600 s and 660 s.
USER_CONF = """*.SingleStream.target_latency = 9
*.MultiStream.target_latency = 36
*.Server.target_qps = 50
*.Offline.target_qps = 82
"""


@dataclass(frozen=True, slots=True)
class StandIn:
    """What a tree is made of instead of a model, a device and a data set.

    Attributes:
        why: it must not be submitted.
        benchmark: its YAML file; its data are beside it.
        model: of the round.
        round: its name.
        system_type: as the checkers spell it.
        module: to repeat it.
        division: of the tree.
        clusters: files of one node each, one a test, if samples travel.
    """

    why: str
    benchmark: Path
    model: str
    round: str
    system_type: str
    module: str
    division: Division = "closed"
    clusters: tuple[Path, ...] = ()


def main(folder: Path, round_name: str) -> int:
    """Make what is missing in `folder`; return 0 when four results are in the tree."""
    return make(folder, of_resnet50(folder, round_name))


def of_resnet50(folder: Path, round_name: str) -> StandIn:
    """Return what stands in for resnet50, with its inputs in `folder`."""
    make_inputs(folder)
    return StandIn(
        why=WHY,
        benchmark=folder / "resnet50.yaml",
        model="resnet",
        round=round_name,
        system_type="datacenter,edge",
        module="tests.sut.submission.extra.stand_in",
    )


def make(folder: Path, given: StandIn) -> int:
    """Run what is missing and write the tree; return 0 when all results are in it."""
    order = make_order(folder, given)
    require_loadgen(order.round, version())
    start_s = time.monotonic()
    run_all(order, given.clusters)
    print(f"tests: {time.monotonic() - start_s:.0f} s")
    outcomes = submit(order, print)
    report(order, outcomes, as_json=False)
    return 0 if all(outcome.placed for outcome in outcomes) else 1


def make_inputs(folder: Path) -> None:
    """Make data set, benchmark and system, unless they are there."""
    data, system = folder / "data", folder / "stand-in-system"
    data.mkdir(parents=True, exist_ok=True)
    system.mkdir(exist_ok=True)
    if not (data / "val_map.txt").exists():
        Image.new("RGB", (1, 1), (10, 20, 30)).save(folder / "one.png")
        lines = []
        for i in range(COUNT):
            name = f"ILSVRC2012_val_{i + 1:08d}.JPEG"
            (data / name).symlink_to("../one.png")
            lines.append(f"{name} {0 if i % RIGHT_SHARE else 1 + i % 999}\n")
        (data / "val_map.txt").write_text("".join(lines), "utf-8")
    (folder / "resnet50.yaml").write_text(yaml.safe_dump(BENCHMARK), "utf-8")
    (system / "system.yaml").write_text(yaml.safe_dump(SYSTEM), "utf-8")
    (system / "user.conf").write_text(USER_CONF, "utf-8")


def make_order(folder: Path, given: StandIn) -> Order:
    """Return the order that no option of the command line can make: one with a stand-in."""
    round_ = round_named(given.round)
    rules = round_.models[given.model]
    described = dict.fromkeys(system_json.NEEDED, f"STAND-IN: {given.why}")
    system: dict[str, object] = {
        **dict.fromkeys(system_json.PRESENT, ""),
        **described,
        "status": "rdi",
        "system_type": given.system_type,
        "number_of_nodes": "1",
        "host_processors_per_node": "1",
        "accelerators_per_node": "0",
    }
    if given.clusters:
        fields = network.described().items()
        system |= {name: value or f"STAND-IN: {given.why}" for name, value in fields}
    return Order(
        round=round_,
        division=given.division,
        submitter=SUBMITTER,
        benchmark=load_benchmark(str(given.benchmark)),
        rules=rules,
        system_name="stand-in-system",
        system_folder=folder / "stand-in-system",
        system=system,
        scenarios=rules.scenarios[given.system_type],
        tree=folder / "submission",
        work=folder / "runs",
        data=folder / "data",
        stand_in=given.why,
        command=f"{given.module} DIR",
        cluster=next(iter(given.clusters), None),
        network="raw" if given.clusters else None,
    )


def run_all(order: Order, clusters: Sequence[Path] = ()) -> None:
    """Run every test that is missing, all at once: they sleep, and do not disturb each other."""
    nodes = iter(clusters)
    prepare(order.benchmark, order.data)  # once, before all of them do it at the same time
    running = []
    for scenario in order.scenarios:
        for part in ("performance", "accuracy", *order.audits):
            out = order.folder(scenario) / part
            if (out / SUMMARY_FILE).exists():
                continue
            out.parent.mkdir(parents=True, exist_ok=True)
            options = ["--mode", "accuracy"] if part == "accuracy" else []
            if part in TESTS:
                audit = out.with_name(f"{part}.audit.config")
                audit.write_text(audit_config(part, order.rules.audit_samples), "utf-8")
                options = ["--audit-config", str(audit)]
            if order.network is not None:  # a node works for one run at a time
                options += ["--cluster", str(next(nodes)), "--network", order.network]
            command = [
                *(sys.executable, "-m", "sut", "run", "-b", str(order.benchmark.file)),
                *("-s", scenario, "--system", str(order.system_folder)),
                *("--data", str(order.data), "--out", str(out), *options),
            ]
            log = out.with_name(f"{part}.txt").open("w", encoding="utf-8")
            running.append(subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log))
            log.close()
    for process in running:
        process.wait()


if __name__ == "__main__":
    sys.exit(tidy(lambda: main(Path(sys.argv[1]).absolute(), *(sys.argv[2:] or [LATEST]))))
