"""Checks the declared inputs and outputs of a model against those of the benchmark.

Knows no inference library. Shapes have the batch axis first, and None for an open axis.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from backends.base import TensorSpec, describe
from sut.base.errors import BatchTooLarge, EngineError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import Array, EngineSpec

T = TypeVar("T")
# Rows of a first batch. Many exported models declare an open batch axis but contain a Reshape to
# one row; only a batch of two or more shows this.
FIRST_ROWS = 2


def fit_inputs(
    declared: Sequence[TensorSpec], spec: EngineSpec, where: str
) -> tuple[TensorSpec, ...]:
    """Return the model's inputs without their batch axis, all sizes known, in the spec's order.

    Args:
        declared: the model's inputs, batch axis first.
        spec: what the benchmark feeds, and the largest batch.
        where: the model, for messages.

    Raises:
        EngineError: another number of inputs, name, dtype or shape, or a batch axis that is fixed.
        BatchTooLarge: the batch axis is fixed to 1.
    """
    names = [tensor.name for tensor in declared]
    fed = [tensor.name for tensor in spec.inputs]
    for name in fed:
        if name not in names:
            found = (
                f"its inputs are {_quoted(names)}"
                if len(names) > 1
                else (f"its input is {_quoted(names)}")
            )
            raise EngineError(
                f'{where}: the model has no input "{name}"; {found}. Name '
                f"{'them' if len(names) > 1 else 'that one'} in the benchmark."
                f"{nearest(name, names)}"
            )
    left = [name for name in names if name not in fed]
    if left:
        raise EngineError(
            f"{where}: the model has {len(names)} inputs ({_quoted(names)}), but the benchmark "
            f"feeds only {_quoted(fed)}. Name {_quoted(left)} in the benchmark too, or export the "
            "model without."
        )
    by_name = dict(zip(names, declared, strict=True))
    return tuple(_fit_input(by_name[tensor.name], tensor, spec, where) for tensor in spec.inputs)


def main_dtype(inputs: Sequence[TensorSpec]) -> str:
    """Return the dtype that a model without weights computes in: that of its first float input."""
    dtypes = [tensor.dtype for tensor in inputs]
    return next((dtype for dtype in dtypes if dtype.startswith("float")), dtypes[0])


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names) or "none"


def _fit_input(found: TensorSpec, fed: TensorSpec, spec: EngineSpec, where: str) -> TensorSpec:
    if found.dtype != fed.dtype:
        raise EngineError(
            f'{where}: input "{found.name}" takes {found.dtype}, but the benchmark feeds '
            f"{fed.dtype}. Export the model with {fed.dtype} inputs, or change the benchmark's."
        )
    _check_shape(found, fed, where)
    _check_batch_axis(found, spec.max_batch_size, where)
    sizes = zip(found.shape[1:], fed.shape, strict=True)
    fitting = replace(found, shape=tuple(size or fed_size for size, fed_size in sizes))
    if None in fitting.shape:
        raise EngineError(
            f'{where}: input "{found.name}" is {describe(found.shape, found.dtype)}, and the '
            f"benchmark leaves an axis open too: {describe(('N', *fed.shape), fed.dtype)}. State "
            "the sizes in the benchmark."
        )
    return fitting


def order_outputs(
    declared: Sequence[TensorSpec], first: str | None, where: str
) -> list[TensorSpec]:
    """Return the model's outputs with the one named `first` in front; None keeps their order.

    Raises:
        EngineError: the model has no such output.
    """
    if first is None:
        return list(declared)
    names = [tensor.name for tensor in declared]
    if first not in names:
        raise EngineError(
            f'{where}: the model has no output "{first}"; its outputs are {_quoted(names)}. Name '
            f"one of them in the benchmark.{nearest(first, names)}"
        )
    return sorted(declared, key=lambda tensor: tensor.name != first)


def first_answers(run: Callable[[int], T], rows: int) -> T:
    """Return what `run` returns for a first batch.

    Args:
        run: runs so many rows.
        rows: FIRST_ROWS or more, where the largest batch allows that.

    Raises:
        EngineError: from `run`.
        BatchTooLarge: `run` fails with several rows and works with one.
    """
    try:
        return run(rows)
    except EngineError as error:
        if rows > 1 and _works(run, 1):
            raise BatchTooLarge(str(error)) from error
        raise


def _works(run: Callable[[int], object], count: int) -> bool:
    try:
        run(count)
    except EngineError:
        return False
    return True


def check_answers(
    declared: Sequence[TensorSpec], answers: Sequence[Array], count: int, where: str
) -> tuple[TensorSpec, ...]:
    """Return the outputs without their batch axis, after a batch of `count` rows gave `answers`.

    Raises:
        EngineError: an output does not have one row for each row of the batch.
    """
    for tensor, answer in zip(declared, answers, strict=True):
        # A model that takes one image alone, with its non-maximum suppression inside, gives as many
        # rows as it found boxes; the postprocess knows.
        if answer.ndim == 0 or (count > 1 and len(answer) != count):
            raise EngineError(
                f'{where}: output "{tensor.name}" is {describe(answer.shape, tensor.dtype)} for a '
                f"batch of {count}; expected {count} rows, one a sample. Export the model with an "
                "open batch axis in its outputs too."
            )
    # If a model declares no shape at all, only the answers show the number of axes.
    return tuple(
        replace(tensor, shape=tensor.shape[1:] or (None,) * (answer.ndim - 1))
        for tensor, answer in zip(declared, answers, strict=True)
    )


def _check_shape(found: TensorSpec, fed: TensorSpec, where: str) -> None:
    model, benchmark = found.shape[1:], fed.shape
    if len(found.shape) == len(benchmark) + 1 and all(
        None in (ours, theirs) or ours == theirs
        for ours, theirs in zip(benchmark, model, strict=True)
    ):
        return
    same_sizes = sorted(map(str, model)) == sorted(map(str, benchmark))
    remedy = (
        "The axes are in another order: choose the benchmark's layout (NCHW or NHWC) to match."
        if same_sizes
        else "Choose the model, or the input of the benchmark, so that they agree."
    )
    raise EngineError(
        f'{where}: input "{found.name}" takes {describe(found.shape, found.dtype)}, batch axis '
        f"first, but the benchmark feeds {describe(('N', *benchmark), fed.dtype)}. {remedy}"
    )


def _check_batch_axis(found: TensorSpec, max_batch_size: int, where: str) -> None:
    fixed = found.shape[0]
    if fixed is None or fixed == max_batch_size == 1:
        return
    way_out = ", or set max_batch_size to 1" if fixed == 1 else ""
    kind = BatchTooLarge if fixed == 1 else EngineError
    raise kind(
        f'{where}: the batch axis of input "{found.name}" is fixed to {fixed}, but batches of 1 to '
        f"max_batch_size {max_batch_size} will come. Export the model with an open batch axis"
        f"{way_out}."
    )
