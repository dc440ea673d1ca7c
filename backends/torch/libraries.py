"""Imports torch before any engine opens, in a process that forks afterwards.

Touches no device, and starts neither threads nor the processes that compile.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from backends.torch.options import options_of
from sut.base.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue

_ALWAYS = ("torch", "backends.torch.model")
# Nearly all of what the compiler imports when it compiles the first module. Private names: without
# them it imports them then.
_COMPILER = ("torch._inductor.compile_fx", "torch._inductor.async_compile")
# What the compiler makes is kept in this folder of the cache. Its own key has the graph, options,
# versions and the GPU's kind in it; weights are not, because they are frozen in when it is loaded.
_COMPILED = "torch"


def load_libraries(options: Mapping[str, OptionValue], device: str) -> None:
    """See backends.base.load_libraries."""
    for name in _ALWAYS:
        import_module(name)
    if options_of(options, device).compiles(device):
        keep_compiled()
    if device.isdecimal():
        import_module("cuda.bindings.driver")
        import_module("cuda.bindings.runtime")


def optional_libraries(options: Mapping[str, OptionValue], device: str) -> tuple[str, ...]:
    """See backends.base.optional_libraries. On a GPU the compiler's import starts a thread."""
    return _COMPILER if options_of(options, device).compiles(device) else ()


def keep_compiled() -> None:
    """Name the folder of what the compiler makes, which it looks for when it is imported."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / _COMPILED))
