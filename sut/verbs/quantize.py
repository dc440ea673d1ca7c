"""`sut quantize`: an fp16 or int8 model of a benchmark's fp32 one, and what that costs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from backends.onnxruntime.precision import FORMS, METHODS
from data.calibration import LISTS, SOURCES, default_source
from data.variant import load_variant
from sut.base.errors import EXIT_VALID, ConfigError
from sut.base.progress import show_progress
from sut.config.prepare import resolve_workload
from sut.models.comparison import FP32, ON_CPU, Comparison, compare
from sut.models.precision import Source, converted, forms_of
from sut.verbs import console
from sut.verbs.options import add_benchmark, add_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sut.models.precision import Converted

EXAMPLES = """examples:
  sut quantize -b efficientnet-lite0 --precision int8
  sut quantize -b resnet50 --precision int8-trt --data imagenet/ --calibration mlperf-2
"""
DEFAULT_SAMPLES = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    add_source_arguments(parser)
    parser.add_argument(
        "--precision",
        required=True,
        metavar="P",
        help="fp16, int8-trt (for TensorRT), int8-ort (for CPUs), or int8 (both int8 forms)",
    )
    parser.add_argument(
        "--accuracy-samples",
        type=int,
        default=DEFAULT_SAMPLES,
        metavar="N",
        help=f"samples to compare with fp32 ({DEFAULT_SAMPLES}); 0: no comparison",
    )


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the model and the calibration samples."""
    add_benchmark(parser)
    add_options(parser, "--model", "--pixels", "--data")
    parser.add_argument(
        "--calibration",
        metavar="LIST",
        help=f"{', '.join(LISTS)} (MLPerf's lists of 500 ImageNet images) or samples (of the "
        "data set); default: mlperf-1 for ImageNet, else samples",
    )
    parser.add_argument(
        "--method",
        default="minmax",
        metavar="M",
        help=f"how to compute ranges: {', '.join(METHODS)} (minmax)",
    )


def read_source(arguments: argparse.Namespace) -> Source:
    """Return the model, and the samples to calibrate with, that the arguments name.

    Raises:
        SutError: one of them does not exist.
    """
    benchmark = load_variant(arguments.benchmark, pixels=arguments.pixels)
    if arguments.method not in METHODS:
        raise ConfigError(f'--method: "{arguments.method}"; expected one of {", ".join(METHODS)}.')
    calibration = arguments.calibration or default_source(benchmark)
    if calibration not in SOURCES:
        raise ConfigError(f'--calibration: "{calibration}"; expected one of {", ".join(SOURCES)}.')
    workload = resolve_workload(benchmark, "onnxruntime", arguments.model)
    return Source(benchmark, workload, arguments.data, calibration, arguments.method)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Convert, compare and print; return the exit code."""
    forms = forms_of(arguments.precision)
    if arguments.accuracy_samples < 0:
        raise ConfigError("--accuracy-samples: expected 0 or more.")
    say = sys.stderr if arguments.json else sys.stdout
    source = read_source(arguments)
    print(f"{source.benchmark.name}: {source.model.origin}, {source.model.path}", file=say)
    made = []
    for form in forms:
        with show_progress(f"making {form}") as progress:
            made.append(converted(source, form, progress=progress))
        for line in _made_lines(made[-1], arguments.benchmark):
            print(line, file=say)
    rows = _compare(source, made, arguments.accuracy_samples)
    if arguments.json:
        print(json.dumps(_as_json(command, source, made, rows), indent=2))
        return EXIT_VALID
    if rows:
        print()
        print(comparison_table(rows))
        print(_reading(source, rows))
    return EXIT_VALID


def _compare(source: Source, made: Sequence[Converted], count: int) -> list[Comparison]:
    if not count:
        return []
    with show_progress("comparing with fp32") as progress:
        return compare(source, {one.note.form: one.path for one in made}, count, progress)


def _made_lines(made: Converted, benchmark: str) -> list[str]:
    note = made.note
    how = "kept from before" if made.cached else "made now"
    lines = [f"{note.form}: {made.path} ({how}; {FORMS[note.form].purpose})"]
    if note.calibration:
        lines.append(f"  calibrated on {note.calibration}, {note.method}")
    backend = "" if note.form in ON_CPU else " --backend tensorrt --devices 0"
    lines.append(f"  run it: sut run -b {benchmark} -s Offline{backend} --model {made.path}")
    return lines


HEADER = ("form", "MB", "correct", "95 % interval", "as fp32", "SNR dB", "ms", "speed-up")


def comparison_table(rows: Sequence[Comparison]) -> str:
    """Return the table of all forms, fp32 first."""
    base = next(row.latency_ms for row in rows if row.form == FP32)
    return console.table([_row(row, base) for row in rows], HEADER)


def _row(row: Comparison, base_ms: float | None) -> tuple[str, ...]:
    score = row.score
    interval = None if score is None else score.interval_95
    faster = base_ms / row.latency_ms if base_ms and row.latency_ms else None
    return (
        row.form,
        f"{row.size_bytes / 1e6:.1f}",
        "-" if score is None else score.cell,
        "-" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}",
        "-" if row.same is None else f"{row.same} of {row.n}",
        "-" if row.snr_db is None else f"{row.snr_db:.1f}",
        "-" if row.latency_ms is None else f"{row.latency_ms:.2f}",
        "-" if faster is None or row.form == FP32 else f"{faster:.2f}",
    )


def _reading(source: Source, rows: Sequence[Comparison]) -> str:
    """Return what to know about the figures of the table."""
    text = "ms: median of a batch of one on one CPU thread, alternating between the models."
    same_data = source.calibration == "samples" and any(row.form.startswith("int8") for row in rows)
    if same_data:
        text += " The int8 models were calibrated and judged on the same samples."
    bad = "".join(
        f"\n{row.form}: {row.not_finite} of {row.n} samples have NaN or infinity in the output, so "
        "this model is of no use. Choose another precision."
        for row in rows
        if row.not_finite
    )
    return text + bad


def _as_json(
    command: str, source: Source, made: Sequence[Converted], rows: Sequence[Comparison]
) -> dict[str, object]:
    return {
        "benchmark": source.benchmark.name,
        "model": source.model.path,
        "made": [{"path": str(one.path), "cached": one.cached, **_note(one)} for one in made],
        "comparison": [_compared(row) for row in rows],
        "command": command,
    }


def _compared(row: Comparison) -> dict[str, object]:
    fields: dict[str, object] = asdict(row)
    score = row.score
    if score is None:
        return {**fields, "good": None, "interval_95": None}
    judged = {"metric": score.metric, "value": score.value}
    return {**fields, "score": judged, "good": score.good, "interval_95": score.interval_95}


def _note(made: Converted) -> dict[str, object]:
    note = made.note
    return {name: getattr(note, name) for name in note.__struct_fields__}
