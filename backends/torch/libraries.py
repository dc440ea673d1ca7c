"""Imports torch and its compiler before any engine opens, in a process that forks afterwards.

Touches no device, and starts neither threads nor the processes that compile.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from backends.torch.engine import compiles, options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue

_ALWAYS = ("torch", "backends.torch.model")
# Nearly all of what the compiler imports when it compiles the first module. Private names: without
# them it imports them then.
_COMPILER = ("torch._inductor.compile_fx", "torch._inductor.async_compile")


def load_libraries(options: Mapping[str, OptionValue], device: str) -> None:
    """See backends.base.load_libraries."""
    for name in _ALWAYS:
        import_module(name)
    if compiles(options_of(options, device), device):
        with suppress(ImportError):
            for name in _COMPILER:
                import_module(name)
    if device.isdecimal():
        import_module("cuda.bindings.driver")
        import_module("cuda.bindings.runtime")
