"""How a precision is asked of a device, and whether it can be: known before anything is opened.

What the hardware computes in is in backends.capability; here is what each backend can be told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from backends.base import REMOTE, WITHOUT_MODEL
from backends.capability import PRECISIONS, gpu_support
from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import OptionValue

CPU = "cpu"
AS_IS = "fp32"
# Every precision that can be asked for: fp8 and fp4 are known, and refused with the reason.
ASKED: Sequence[str] = PRECISIONS


@dataclass(frozen=True, slots=True)
class Device:
    """A device, before anything runs on it.

    Attributes:
        name: as `--devices` names it.
        product: what it is, such as "Tesla T4".
        sm: of a GPU, such as 75; None: it is none, or nobody knows.
        features: of a CPU, as Linux names them; empty for others.
        facts: what differs from device to device, by name: driver, clocks, limits.
    """

    name: str
    product: str
    sm: int | None = None
    features: frozenset[str] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_cpu(self) -> bool:
        """Whether it is the host itself."""
        return self.name == CPU


@dataclass(frozen=True, slots=True)
class Way:
    """How to run a model in a precision on a device.

    Attributes:
        precision: that was asked for.
        form: the model is converted to it first, as sut.models.precision names it; None: it is
            taken as it is.
        options: of the backend.
        label: what to know of such a row, known before it runs; empty: nothing.
        refused: why it cannot be; empty: it can.
    """

    precision: str
    form: str | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    label: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class _Ask:
    """What a backend is told for a precision: a form of the model, and options."""

    form: str | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)


_Place = Literal["cpu", "gpu"]
_KNOWN: Mapping[tuple[str, _Place], Mapping[str, _Ask]] = {
    ("onnxruntime", "cpu"): {
        AS_IS: _Ask(), "fp16": _Ask("fp16"), "int8": _Ask("int8-ort"),
    },
    ("onnxruntime", "gpu"): {
        AS_IS: _Ask(None, {"tf32": False}), "tf32": _Ask(None, {"tf32": True}),
        "fp16": _Ask("fp16"),
    },
    ("torch", "cpu"): {
        AS_IS: _Ask(), "fp16": _Ask("fp16"), "bf16": _Ask(None, {"precision": "bf16"}),
    },
    ("torch", "gpu"): {
        AS_IS: _Ask(None, {"tf32": False}), "tf32": _Ask(None, {"tf32": True}),
        "fp16": _Ask("fp16"), "bf16": _Ask(None, {"precision": "bf16"}),
    },
    ("tensorrt", "gpu"): {
        AS_IS: _Ask(None, {"tf32": False}), "tf32": _Ask(None, {"tf32": True}),
        "fp16": _Ask("fp16", {"precision": "fp16"}),
        "int8": _Ask("int8-trt", {"precision": "int8"}),
    },
}  # fmt: skip
# Why a backend cannot be told, where the reason is not only that this program has no such form.
_WHY: Mapping[tuple[str, str], str] = {
    ("onnxruntime", "int8"): "ONNX Runtime has no int8 convolution on CUDA: use backend tensorrt",
    ("torch", "int8"): "backend torch runs no Q/DQ nodes: use onnxruntime on a CPU, or tensorrt",
}


def check_precisions(asked: Sequence[str]) -> None:
    """Refuse what is no precision, or twice there.

    Raises:
        ConfigError: it is.
    """
    for precision in asked:
        if precision not in ASKED:
            raise ConfigError(
                f'--precision: "{precision}"; expected one of {", ".join(ASKED)}.'
                f"{nearest(precision, ASKED)}"
            )
    if len(set(asked)) < len(asked):
        raise ConfigError(f"--precision {','.join(asked)}: expected different ones.")


def way(backend: str, device: Device, precision: str) -> Way:
    """Return how a backend runs a precision on a device, or why it cannot."""
    if backend in WITHOUT_MODEL or backend in REMOTE:
        if precision == AS_IS:
            return Way(precision, label="" if backend in WITHOUT_MODEL else "the server's model")
        has = "no model" if backend in WITHOUT_MODEL else "its server's model"
        return Way(precision, refused=f"backend {backend} has {has}, in no other precision")
    place: _Place = "cpu" if device.is_cpu else "gpu"
    known = _KNOWN.get((backend, place))
    if known is None:
        return Way(precision, refused=f"backend {backend} does not run on a {place.upper()}")
    label = _on_cpu(backend, device, precision) if device.is_cpu else ""
    if not device.is_cpu and device.sm is not None:
        support = gpu_support(device.sm, precision)
        if support.how == "none":
            return Way(precision, refused=support.why)
        label = "" if support.how == "tensor cores" or precision == AS_IS else support.why
    ask = known.get(precision)
    if ask is None:
        other = f"backend {backend} cannot be asked for {precision} on a {place.upper()}"
        return Way(precision, refused=_WHY.get((backend, precision), other))
    return Way(precision, ask.form, ask.options, label)


def _on_cpu(backend: str, device: Device, precision: str) -> str:
    """Return what a CPU does with a precision that it has no instructions for."""
    if precision == "fp16" and backend == "onnxruntime" and "asimdhp" not in device.features:
        return "ONNX Runtime has no float16 kernels for x86: it computes in fp32, between casts"
    if precision == "int8" and not device.features & {"avx512_vnni", "avx_vnni", "asimddp"}:
        return "this CPU has no instructions for sums of int8 products (VNNI): int8 may be slower"
    if precision == "bf16" and not device.features & {"avx512_bf16", "amx_bf16", "bf16"}:
        return "this CPU has no bfloat16 instructions: the library computes in fp32"
    return ""
