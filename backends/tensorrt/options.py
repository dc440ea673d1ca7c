"""The options of the tensorrt backend. Knows no TensorRT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from backends.cuda.options import CudaOptions
from backends.options import read_options
from backends.tensorrt.builder import DEFAULT_LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue


@dataclass(frozen=True, slots=True)
class Options(CudaOptions):
    """Options of the tensorrt backend, beside those of every backend on a GPU.

    Attributes:
        library: "tensorrt" or "tensorrt_rtx"; None: the first that is installed.
        precision: that the engine must have, such as "fp16"; None: whatever the model has.
        profiles: batch sizes as MIN:OPT:MAX with commas, if a plan is built here; None: one
            profile for 1 to max_batch_size, tuned for the largest.
        builder_level: 0, fast to build, to 5, which tries the most.
        workspace_mib: the most scratch memory that a layer may use; None: TensorRT's own limit.
        tf32: let float32 be multiplied with 10 bits of mantissa, if a plan is built here.
    """

    library: str | None = None
    precision: str | None = None
    profiles: str | None = None
    builder_level: Annotated[int, Meta(ge=0, le=5)] = DEFAULT_LEVEL
    workspace_mib: Annotated[int, Meta(ge=1)] | None = None
    tf32: bool = False


def options_of(options: Mapping[str, OptionValue], device: str) -> Options:
    """Return the options, checked: see backends.base.check_options."""
    return read_options(options, Options, "tensorrt backend")
