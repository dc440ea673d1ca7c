"""`sut build`: a TensorRT plan of a benchmark's model, for this machine's GPU or for named ones."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from backends.onnxruntime.precision import BUILDABLE
from backends.tensorrt.builder import DEFAULT_LEVEL, BuildRequest, make_plan
from backends.tensorrt.engine import device_sm
from backends.tensorrt.library import load_library
from backends.tensorrt.plan import note_path
from backends.tensorrt.profiles import one_profile, parse_profiles
from sut.base.errors import EXIT_VALID, ConfigError, EngineError, nearest
from sut.base.progress import show_progress
from sut.models.precision import in_precision
from sut.verbs.quantize import add_source_arguments, read_source

if TYPE_CHECKING:
    import argparse

    from backends.tensorrt.library import Library
    from backends.tensorrt.plan import Plan
    from backends.tensorrt.profiles import Profile

EXAMPLES = """examples:
  sut build -b efficientnet-lite0 --precision fp16 --max-batch-size 32
  sut build -b efficientnet-lite0 --precision int8 --sm 75,89
  sut build -b efficientnet-lite0 --precision fp16 --profiles 1:1:1,2:26:32
"""
DEFAULT_BATCH = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    add_source_arguments(parser)
    parser.add_argument("--precision", required=True, metavar="P", help=", ".join(BUILDABLE))
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--sm", metavar="75,89", help="GPU architectures to build for, with TensorRT-RTX"
    )
    target.add_argument(
        "--device", default="0", metavar="0", help="the GPU to build for, without --sm (0)"
    )
    parser.add_argument(
        "--max-batch-size", type=int, metavar="B", help=f"largest batch ({DEFAULT_BATCH})"
    )
    parser.add_argument(
        "--opt-batch-size",
        type=int,
        metavar="B",
        help="batch to optimize for (default: the largest)",
    )
    parser.add_argument(
        "--profiles", metavar="MIN:OPT:MAX,...", help="several optimization profiles instead"
    )
    parser.add_argument(
        "--builder-level",
        type=int,
        default=DEFAULT_LEVEL,
        metavar="0-5",
        help=f"how much the builder tries ({DEFAULT_LEVEL})",
    )
    parser.add_argument(
        "--workspace-mib", type=int, metavar="M", help="scratch memory for a layer (default: all)"
    )
    parser.add_argument(
        "--library", metavar="NAME", help="tensorrt or tensorrt_rtx (default: the first installed)"
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Build the plans and print what they are; return the exit code."""
    say = sys.stderr if arguments.json else sys.stdout
    if arguments.precision not in BUILDABLE:
        raise ConfigError(
            f'--precision: "{arguments.precision}"; expected one of {", ".join(BUILDABLE)}.'
            f"{nearest(arguments.precision, BUILDABLE)}"
        )
    profiles = _profiles(arguments)
    library = load_library(arguments.library)
    print(library.choice, file=say)
    sms = _sms(arguments, library)
    source = read_source(arguments)
    with show_progress(f"making {arguments.precision}") as progress:
        workload = in_precision(source, arguments.precision, progress=progress)
    assert workload.model is not None, "in_precision keeps or replaces the model"
    print(f"{source.benchmark.name}: {workload.model.origin}, {workload.model.path}", file=say)
    spec = workload.engine("tensorrt", profiles[-1].max)
    plans = []
    for sm in sms:
        request = BuildRequest(
            spec=spec,
            sm=sm,
            profiles=profiles,
            precision=arguments.precision,
            builder_level=arguments.builder_level,
            workspace_mib=arguments.workspace_mib,
        )
        with show_progress(f"building for SM {sm}") as progress:
            plans.append(make_plan(request, library, progress))
        for line in _lines(plans[-1]):
            print(line, file=say)
    if arguments.json:
        found = [_as_json(plan) for plan in plans]
        print(json.dumps({"library": library.name, "plans": found, "command": command}, indent=2))
    return EXIT_VALID


def _profiles(arguments: argparse.Namespace) -> tuple[Profile, ...]:
    if arguments.max_batch_size == "auto":
        raise ConfigError("--max-batch-size is auto; a plan is built for a number, such as 32.")
    if arguments.profiles is None:
        largest = DEFAULT_BATCH if arguments.max_batch_size is None else arguments.max_batch_size
        return one_profile(largest, arguments.opt_batch_size)
    if arguments.max_batch_size is not None or arguments.opt_batch_size is not None:
        raise ConfigError(
            "--profiles already gives the batch sizes. Leave out --max-batch-size and "
            "--opt-batch-size."
        )
    return parse_profiles(arguments.profiles)


def _sms(arguments: argparse.Namespace, library: Library) -> list[int]:
    """Return the architectures to build for."""
    if arguments.sm is None:
        try:
            return [device_sm(arguments.device)]
        except (ConfigError, EngineError) as error:
            if not library.is_rtx:
                raise
            raise type(error)(f"{error} Or name an architecture, such as --sm 75.") from error
    parts = arguments.sm.split(",")
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f'--sm: "{arguments.sm}"; expected architectures such as 75,89.')
    if not library.is_rtx:
        raise ConfigError(
            f"--sm: {library} builds for the GPU in the machine only. Run sut build there without "
            "--sm, or install tensorrt-rtx-cu13 and add --library tensorrt_rtx."
        )
    return list(dict.fromkeys(map(int, parts)))


def _lines(plan: Plan) -> list[str]:
    note = plan.note
    assert note is not None, "a plan that was built here has a note"
    how = "kept from before" if plan.cached else f"built in {note.build_s:.1f} s"
    layers = ", ".join(f"{count} {name}" for name, count in note.layers.items())
    return [
        f"SM {note.sm}: {plan.path} ({note.plan_bytes / 1e6:.1f} MB, {how})",
        f"  batches of {note.profiles[0].min} to {note.max_batch_size}, profiles "
        f"{' '.join(map(str, note.profiles))}; {note.precision}: computing layers {layers} "
        f"({note.precision_from})",
    ]


def _as_json(plan: Plan) -> dict[str, object]:
    content = json.loads(note_path(plan.path).read_text("utf-8"))
    return {"path": str(plan.path), "cached": plan.cached, **content}
