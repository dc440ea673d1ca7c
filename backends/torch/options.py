"""The options of the torch backend. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from backends.cuda.options import CudaOptions
from backends.options import read_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue


@dataclass(frozen=True, slots=True)
class Options(CudaOptions):
    """Options of the torch backend.

    Attributes:
        precision: "fp16" and "bf16" convert the weights; "model" leaves them.
        compile: "inductor" compiles each batch size, with the weights frozen into it; "auto" does
            so on a GPU.
        autotune: let the compiler measure more choices; opening takes minutes.
        tf32: let float32 be multiplied with 10 bits of mantissa.
        postprocess: "device" chooses a YOLO model's boxes on the device, as part of the model;
            "auto" does so on a GPU where it can.
        candidates: of an image, the best ones, that come to the suppression of boxes there.
    """

    precision: Literal["model", "fp16", "bf16"] = "model"
    compile: Literal["auto", "inductor", "none"] = "auto"
    autotune: bool = False
    tf32: bool = False
    postprocess: Literal["auto", "worker", "device"] = "auto"
    candidates: Annotated[int, Meta(ge=1)] = 1000

    def compiles(self, device: str) -> bool:
        """Return whether an engine on a device compiles its batch sizes."""
        return self.compile == "inductor" or (self.compile == "auto" and device != "cpu")


def options_of(options: Mapping[str, OptionValue], device: str) -> Options:
    """Return the options, checked: see backends.base.check_options."""
    return read_options(options, Options, where_of(device))


def where_of(device: str) -> str:
    """Return a place, for messages."""
    return f"torch backend, device {device}"
