"""Named arrays, to be bound or run as one batch: checked against the inputs of a model.

Knows no engine. Every message is one line that names the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.base import describe
from sut.base.errors import EngineError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Array, Arrays, TensorSpec


def check_samples(samples: Arrays, inputs: Sequence[TensorSpec], where: str) -> tuple[Array, ...]:
    """Return the samples to bind in the order of `inputs`.

    Raises:
        EngineError: they do not fit the inputs, or have gaps, so that no batch could be borrowed.
    """
    fitting = _fitting(samples, inputs, f"{where}: the samples cannot be bound")
    for tensor, array in zip(inputs, fitting, strict=True):
        if not array.flags.c_contiguous:
            raise EngineError(
                f'{where}: the samples of input "{tensor.name}" are not C-contiguous, so a batch of'
                " them could not be borrowed. Bind numpy.ascontiguousarray(samples)."
            )
    return fitting


def check_arrays(
    arrays: Arrays, inputs: Sequence[TensorSpec], max_batch_size: int, where: str
) -> tuple[Array, ...]:
    """Return the arrays of one batch in the order of `inputs`.

    Raises:
        EngineError: they do not fit the inputs, or are more rows than `max_batch_size`.
    """
    fitting = _fitting(arrays, inputs, f"{where}: the arrays are no batch")
    count = len(fitting[0])
    if count > max_batch_size:
        raise EngineError(
            f"{where}: a batch of {count} rows; expected 1 to max_batch_size {max_batch_size}."
        )
    return fitting


def _fitting(arrays: Arrays, inputs: Sequence[TensorSpec], what: str) -> tuple[Array, ...]:
    names = [tensor.name for tensor in inputs]
    known = ", ".join(f'"{name}"' for name in names)
    for name in arrays:
        if name not in names:
            raise EngineError(
                f'{what}: there is no input "{name}"; expected an array for each of {known}.'
                f"{nearest(name, names)}"
            )
    for tensor in inputs:
        if tensor.name not in arrays:
            raise EngineError(
                f'{what}: input "{tensor.name}" has none; expected an array for each of {known}.'
            )
        _check_array(arrays[tensor.name], tensor, what)
    first = inputs[0].name
    for name in names:
        if len(arrays[name]) != len(arrays[first]):
            raise EngineError(
                f'{what}: input "{name}" has {len(arrays[name])} rows, but "{first}" has '
                f"{len(arrays[first])}; expected one of each for every sample."
            )
    return tuple(arrays[name] for name in names)


def _check_array(array: Array, tensor: TensorSpec, what: str) -> None:
    shape = array.shape
    if (
        len(shape) != len(tensor.shape) + 1
        or not shape[0]
        or any(want not in (None, got) for want, got in zip(tensor.shape, shape[1:], strict=True))
        or array.dtype != tensor.dtype
    ):
        raise EngineError(
            f'{what}: input "{tensor.name}" takes '
            f"{describe(('N', *tensor.shape), tensor.dtype)} with N of 1 or more, but "
            f"{describe(shape, array.dtype.name)} came. Make the array fit, or the benchmark's "
            "preprocessing and input agree."
        )
