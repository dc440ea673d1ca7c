"""Compiles torch modules with inductor, each for one batch size. Knows no device worker."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# torch.export and the compiler keep global state, and workers open in parallel.
TORCH_EXPORT = threading.Lock()


def import_ahead() -> None:
    """Import the compiler on a thread of its own, and start the processes that it compiles in.

    The import takes 3 to 5 s, and the processes need 11 s. Loading a model and its first batch on a
    GPU leave the interpreter free for most of their time. Whoever compiles waits for the lock.
    """
    threading.Thread(target=_import, name="import inductor", daemon=True).start()


def _import() -> None:
    # Private names: without them the compiler imports and starts what it needs when it runs.
    with TORCH_EXPORT, contextlib.suppress(ImportError, AttributeError):
        from torch._inductor import async_compile, compile_fx  # noqa: F401, PLC0415

        async_compile.maybe_warm_pool()


def compile_module(
    module: Any, batch: tuple[Any, ...], options: Mapping[str, bool]
) -> Callable[..., Sequence[Any]]:
    """Return the module compiled for such batches; the compiler keeps its work on disk.

    Args:
        module: a torch.nn.Module; it returns a tuple of tensors.
        batch: a batch of each input, on the module's device.
        options: of inductor.
    """
    with TORCH_EXPORT:
        from torch import _inductor  # noqa: PLC0415 - slow, and only for this

        graph = torch.export.export(module, batch).module()
        with _cacheable():
            compiled: Callable[..., Sequence[Any]] = _inductor.compile(
                graph, list(batch), options=dict(options)
            )
    return compiled


def freeze(module: Any, batch: tuple[Any, ...]) -> Callable[..., Sequence[Any]]:
    """Return frozen TorchScript, which inductor cannot compile."""
    wrapped = torch.jit.trace(module, batch, check_trace=False)
    frozen: Callable[..., Sequence[Any]] = torch.jit.freeze(wrapped.eval())
    return frozen


def _cacheable() -> contextlib.AbstractContextManager[object]:
    """Compile inside a tracing context: without one the compiler does not use its cache on disk."""
    from torch._guards import TracingContext, tracing  # noqa: PLC0415 - slow, and only for this
    from torch._subclasses import FakeTensorMode  # noqa: PLC0415
    from torch.fx.experimental.symbolic_shapes import ShapeEnv  # noqa: PLC0415

    context: contextlib.AbstractContextManager[object] = tracing(
        TracingContext(FakeTensorMode(shape_env=ShapeEnv()))
    )
    return context
