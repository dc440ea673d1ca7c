"""measurements.json, README.md and calibration.md: what ran, and how to repeat it.

Besides the checker's five fields, measurements.json has the fields for `sut check`: whether a real
engine and real data were used, and the settings of each test.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from data.schema import FileModel, NpmModel, PackageModel, UrlModel
from sut.base.errors import ConfigError
from sut.record.run_folder import ACCURACY_FILE
from sut.submission import network
from sut.submission.layout import CALIBRATION_FILE
from sut.submission.ran import read_network, read_precisions, read_ran
from sut.submission.runs import ACCURACY, PERFORMANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.submission.order import Order
    from sut.submission.ran import Ran, RanModel
    from sut.submission.runs import Part

# The checker's fields; none may be empty.
NEEDED = (
    "input_data_types",
    "retraining",
    "starting_weights_filename",
    "weight_data_types",
    "weight_transformations",
)
_TYPES = {"float32": "fp32", "float16": "fp16"}
NOT_STATED = "not stated"
FAST_NOTE = (
    "LAYOUT ONLY. These runs were made with `--fast`: they end after a few queries, LoadGen calls "
    "them INVALID, and they must not be submitted."
)
SMALL_NOTE = (
    "SMALL DATA SET. It has {count} samples; user.conf states the {wanted} of {model}, so that "
    "the official checkers can read this tree. No accuracy of {model} is claimed."
)


def measurements(order: Order, parts: Mapping[str, Part]) -> dict[str, object]:
    """Return the content of measurements.json."""
    performance = parts[PERFORMANCE]
    tests = {name: settings_of(part) for name, part in parts.items()}
    found: dict[str, object] = {
        "input_data_types": _input_types(order),
        "retraining": "no" if order.closed else NOT_STATED,
        "starting_weights_filename": _weights(order, read_ran(performance.folder).model),
        "weight_data_types": _precision(performance),
        "weight_transformations": _transformation(order),
        "benchmark": order.benchmark.name,
        "round": order.round.name,
        "harness": {"name": "loadgen-sut", "backend": performance.result.backend},
        "simulated": any(part.result.simulated for part in parts.values()),
        "synthetic_data": any(part.result.synthetic_data for part in parts.values()),
        "fast": order.fast,
        "small_data": order.small_data or order.fast,
        "versions": performance.result.versions,
        "tests": tests,
    }
    if order.stand_in:
        found["stand_in"] = order.stand_in
    ran = read_network(performance.folder)
    if ran is not None:
        found["network"] = network.facts(ran)
    return found


def _input_types(order: Order) -> str:
    found = [_TYPES.get(tensor.dtype, tensor.dtype) for tensor in order.benchmark.inputs]
    return ", ".join(dict.fromkeys(found))


def settings_of(part: Part) -> dict[str, object]:
    """Return the settings of one test that must be equal in all tests."""
    ran = read_ran(part.folder)
    return {
        "harness": {name: setting.value for name, setting in ran.harness.items()},
        "model_sha256": None if ran.model is None else ran.model.sha256,
        "data_digest": None if ran.data is None else ran.data.digest,
    }


def readme(order: Order, scenario: str, parts: Mapping[str, Part]) -> str:
    """Return README.md: the commands that repeat this result, and its facts."""
    ran = read_ran(parts[PERFORMANCE].folder)
    count = None if ran.data is None else ran.data.count
    lines = [f"# {order.benchmark.name}, {scenario}, on {order.system_name}", ""]
    lines += [f"**{note}**\n" for note in notes(order, count)]
    lines += [
        "Install (Python 3.11, Linux) and run, from the folder of the program in the submitter's "
        f"source, `{order.place}/`:",
        "",
        "```",
        "python3 -m venv .venv && .venv/bin/pip install -r requirements/run.txt"
        + (" pyzmq" if order.network else ""),
        *_nodes(parts),
        f". .venv/bin/activate && python -m {order.command}",
        "```",
        "",
        "Only one test, with the user.conf beside this file:",
        "",
        "```",
        f"python -m sut run -b {order.benchmark.name} -s {scenario} --system {order.system_name}"
        + _given(order)
        + " --user-conf user.conf",
        "```",
        "",
        "| what | value |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in _facts(order, ran, parts)),
        "",
    ]
    return "\n".join(lines)


def notes(order: Order, count: int | None) -> list[str]:
    """Return what a reader must know first."""
    found = [f"STAND-IN: {order.stand_in}"] if order.stand_in else []
    if order.fast:
        found.append(FAST_NOTE)
    wanted = order.rules.dataset_size
    if (order.fast or order.small_data) and count is not None and count < wanted:
        found.append(SMALL_NOTE.format(count=count, wanted=wanted, model=order.rules.name))
    return found


def calibration(order: Order, parts: Mapping[str, Part]) -> str:
    """Return calibration.md: the user's text, or a note that nothing was calibrated.

    Raises:
        ConfigError: the engine is quantized, and there is no such text.
    """
    own = order.system_folder / CALIBRATION_FILE
    if own.is_file():
        return own.read_text("utf-8")
    precision = _precision(parts[PERFORMANCE])
    if "int8" in precision or "fp8" in precision or "int4" in precision:
        raise ConfigError(
            f"{own}: no such file; the engine computes in {precision}, and a submission must say "
            "how it was calibrated and quantized. Write that file."
        )
    return (
        "# Calibration\n\n"
        f"No quantization: {order.benchmark.name} runs in {precision}, and no calibration data "
        "was used.\n"
    )


def dump(value: object) -> str:
    """Return JSON as this program writes it."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _facts(order: Order, ran: Ran, parts: Mapping[str, Part]) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [("round", order.round.name), ("division", order.division)]
    if ran.model is not None:
        found.append(("model", f"{ran.model.origin}, sha256 {ran.model.sha256}"))
    if ran.data is not None:
        found.append(("data", f"{ran.data.count} samples, digest {ran.data.digest}"))
    line = (parts[ACCURACY].folder / ACCURACY_FILE).read_text("utf-8").strip()
    found.append(("accuracy", line))
    found += [(name, setting.value) for name, setting in ran.harness.items()]
    return found


def _given(order: Order) -> str:
    """Return the options that name model and data; their folders are this machine's own."""
    given = (" --model FILE" if order.model else "") + (" --data DIR" if order.data else "")
    given += " --pixels" if order.pixels else ""
    return given + (f" --cluster FILE --network {order.network}" if order.network else "")


def _nodes(parts: Mapping[str, Part]) -> list[str]:
    """Return the command that starts each node, if there are any."""
    ran = read_network(parts[PERFORMANCE].folder)
    return [
        f"python -m sut cluster node --name {node.name} --listen {node.address}  # on that machine"
        for node in (() if ran is None else ran.nodes)
    ]


def _weights(order: Order, model: RanModel | None) -> str:
    if model is None:
        return order.stand_in or NOT_STATED
    source = order.benchmark.models[0] if order.benchmark.models and not order.model else None
    if isinstance(source, PackageModel | FileModel):
        return source.path.rpartition("/")[2]
    if isinstance(source, UrlModel):
        return source.url
    if isinstance(source, NpmModel):
        return f"{source.package}: {', '.join(source.files)}"
    return model.path.rpartition("/")[2]


def _transformation(order: Order) -> str:
    source = order.benchmark.models[0] if order.benchmark.models and not order.model else None
    if isinstance(source, PackageModel | NpmModel) and source.converter:
        return f"converted to ONNX ({source.converter}); the values are unchanged"
    return "no"


def _precision(part: Part) -> str:
    found = sorted({name or NOT_STATED for name in read_precisions(part.folder)})
    return ", ".join(_TYPES.get(name, name) for name in found) or NOT_STATED
