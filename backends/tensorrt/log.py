"""TensorRT's messages, kept so that an error can repeat the useful part in one line."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from sut.base.errors import BatchTooLarge, EngineError

if TYPE_CHECKING:
    from backends.tensorrt.library import Library

log = logging.getLogger(__name__)

# A part of TensorRT's message, and what to do about it.
REMEDIES = (
    (
        "FP32 GEMM is not supported",
        "TensorRT-RTX has no FP32 matrix multiplication for Turing (SM 75): build with --precision "
        "fp16 or int8.",
    ),
    (
        "no optimization profile has been defined",
        "The model has an open axis besides the batch: export it with that size fixed.",
    ),
    (
        "Non-zero zero point is not supported",
        "TensorRT takes symmetric int8: use the form int8-trt of sut quantize.",
    ),
    ("cudaError 35", "The NVIDIA driver is missing or too old."),
    ("cudaError 100", "No CUDA device is visible."),
    (
        "OutOfMemory",
        "Make room on the GPU, or lower --max-batch-size or --workspace-mib.",
    ),
)

# The function that speaks, error codes, and places in TensorRT's own source.
NOISE = re.compile(
    r"^\w+::\w+: |Error Code \d+: |\[\w+\.(?:cpp|h):[^\]]*\] ?|\.? In \w+ at /_src/[\w/.:]+"
)


# How it reports that memory is full.
FULL = re.compile(r"out ?of ?memory", re.IGNORECASE)


def make_log(library: Library) -> Any:
    """Return a logger for TensorRT that keeps errors in `errors` and logs the rest as debug."""
    base = library.module.ILogger

    class Log(base):  # type: ignore[misc,valid-type]  # the library has no types
        def __init__(self) -> None:
            base.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: object, text: str) -> None:
            if severity in {base.INTERNAL_ERROR, base.ERROR}:
                self.errors.append(text)  # an exception of ours repeats it
            log.debug("%s", text)

    return Log()


def refusal(what: str, errors: list[str]) -> EngineError:
    """Return the error for a refusal of TensorRT: BatchTooLarge if memory is full."""
    is_full = any(FULL.search(text) for text in errors)
    return (BatchTooLarge if is_full else EngineError)(f"{what}: {reason(errors)}")


def reason(errors: list[str]) -> str:
    """Return the first error as one sentence, with the remedy if it is known."""
    if not errors:
        return "it gave no reason."
    remedy = next((what for part, what in REMEDIES for text in errors if part in text), "")
    text = NOISE.sub("", " ".join(errors[0].split())).strip().rstrip(".")
    return f"{text}. {remedy}".rstrip()
