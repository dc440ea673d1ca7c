"""Bodies of an inference request and its answer: JSON, and binary tensors after it.

Knows the Open Inference Protocol (see sut.base.kserve) and NumPy; no socket, no engine. Tensors of
a binary body are views of it: nothing is copied here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from sut.base.errors import nearest
from sut.base.kserve import NUMPY_NAMES, PROTOCOL_NAMES, VERSION
from sut.load.http_errors import BINARY, bad
from sut.serve.given import MOST_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Array, TensorSpec

_NUMBER_BYTES = 20  # of a number in JSON, with its comma: 17 digits, a point and a sign
SIZE = "binary_data_size"
# Parameters that promise what is not done here. Others are for servers that know them.
_REFUSED_OF_REQUEST = ("sequence_id", "sequence_start", "sequence_end", "priority", "timeout")
_REFUSED_OF_TENSOR = ("shared_memory_region", "classification")
_KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}  # JSON numbers that a dtype takes


class _Tensor(msgspec.Struct, gc=False):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw = msgspec.Raw()  # empty: there is none


class _Wanted(msgspec.Struct, gc=False):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct, gc=False):
    inputs: list[_Tensor]
    id: str = ""
    outputs: list[_Wanted] | None = None
    parameters: dict[str, Any] | None = None


class Request(msgspec.Struct, gc=False):
    """An inference request.

    Attributes:
        arrays: one an input, in the model's order: [samples, *shape].
        samples: how many.
        id: the client's own name for it, or empty.
        wanted: the outputs to send: index, and whether as binary.
    """

    arrays: tuple[Any, ...]
    samples: int
    id: str
    wanted: Sequence[tuple[int, bool]]


class Codec:
    """Reads requests for one model and writes its answers.

    Args:
        model: its name.
        inputs: what it is fed.
        outputs: what it answers.
        json_bytes: the most that the numbers of an answer may take as JSON.
    """

    def __init__(
        self,
        model: str,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        json_bytes: int,
    ) -> None:
        self._model = model
        self._most_numbers = json_bytes // _NUMBER_BYTES
        self._inputs = {tensor.name: _Input(k, tensor) for k, tensor in enumerate(inputs)}
        self._outputs = outputs
        self._numbers = {tensor.name: k for k, tensor in enumerate(outputs)}
        self._names = [PROTOCOL_NAMES[tensor.dtype] for tensor in outputs]
        self._all_json = tuple((k, False) for k in range(len(outputs)))
        self._all_binary = tuple((k, True) for k in range(len(outputs)))
        self._decode = msgspec.json.Decoder(_Request).decode
        self._encode = msgspec.json.Encoder().encode

    def read(self, body: bytes | bytearray, header_length: int | None) -> Request:
        """Read a request.

        Args:
            body: of the HTTP request; the arrays are views of it.
            header_length: bytes of JSON at its start; None: all.

        Raises:
            Refused: it is malformed, or not for this model, or asks for what is not done here.
        """
        end = len(body) if header_length is None else header_length
        if not 0 < end <= len(body):
            raise bad(f"the JSON is said to have {end} bytes, but the body has {len(body)}")
        view = memoryview(body)
        try:
            head = self._decode(view[:end])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise bad(f"the request is no inference request: {error}") from None
        arrays, samples = self._arrays(head.inputs, view[end:])
        if head.parameters:
            _refuse(head.parameters, _REFUSED_OF_REQUEST, "the request")
        return Request(arrays, samples, head.id, self._wanted(head))

    def write(self, request: Request, outputs: Sequence[Array]) -> tuple[bytes, int | None]:
        """Return the body of an answer, and the bytes of its JSON if tensors follow it.

        Raises:
            Refused: its numbers are too many for JSON.
        """
        numbers = sum(outputs[k].size for k, binary in request.wanted if not binary)
        if numbers > self._most_numbers:
            raise bad(f"{numbers} numbers; at most {self._most_numbers} are JSON. {BINARY}")
        described: list[dict[str, object]] = []
        tail: list[Any] = []
        for k, binary in request.wanted:
            array = outputs[k]
            shown: dict[str, object] = {
                "name": self._outputs[k].name,
                "datatype": self._names[k],
                "shape": array.shape,
            }
            if binary:
                shown["parameters"] = {SIZE: array.nbytes}
                tail.append(array.data.cast("B") if array.size else b"")
            else:
                shown["data"] = array.ravel().tolist()
            described.append(shown)
        answer: dict[str, object] = {"model_name": self._model, "model_version": VERSION}
        if request.id:
            answer["id"] = request.id
        answer["outputs"] = described
        head = self._encode(answer)
        return (b"".join([head, *tail]), len(head)) if tail else (head, None)

    def _arrays(
        self, tensors: Sequence[_Tensor], binary: memoryview
    ) -> tuple[tuple[Array, ...], int]:
        inputs = self._inputs
        found: list[Array | None] = [None] * len(inputs)
        at, samples = 0, 0
        for tensor in tensors:
            wanted = inputs.get(tensor.name)
            if wanted is None:
                known = ", ".join(f'"{name}"' for name in inputs)
                close = nearest(tensor.name, inputs)
                raise bad(f'there is no input "{tensor.name}"; expected {known}.{close}')
            if found[wanted.index] is not None:
                raise bad(f'input "{tensor.name}" comes twice')
            count = wanted.samples(tensor)
            if samples not in {0, count}:
                raise bad(f'input "{tensor.name}" has {count} samples, but another has {samples}')
            samples = count
            given = tensor.parameters or {}
            _refuse(given, _REFUSED_OF_TENSOR, f'input "{tensor.name}"')
            if SIZE in given:
                array, at = wanted.from_binary(tensor, given[SIZE], binary, at)
            else:
                array = wanted.from_json(tensor)
            found[wanted.index] = array
        if at != len(binary):
            raise bad(f"{len(binary)} bytes follow the JSON, but its inputs take {at}")
        arrays = tuple(array for array in found if array is not None)
        if len(arrays) != len(inputs):
            missing = next(name for name, wanted in inputs.items() if found[wanted.index] is None)
            raise bad(f'input "{missing}" is missing')
        return arrays, samples

    def _wanted(self, head: _Request) -> Sequence[tuple[int, bool]]:
        binary = bool(head.parameters and head.parameters.get("binary_data_output"))
        if not head.outputs:
            return self._all_binary if binary else self._all_json
        wanted: list[tuple[int, bool]] = []
        for output in head.outputs:
            number = self._numbers.get(output.name)
            if number is None:
                known = ", ".join(f'"{name}"' for name in self._numbers)
                close = nearest(output.name, self._numbers)
                raise bad(f'there is no output "{output.name}"; expected {known}.{close}')
            given = output.parameters or {}
            _refuse(given, _REFUSED_OF_TENSOR, f'output "{output.name}"')
            wanted.append((number, bool(given.get("binary_data", binary))))
        return wanted


class _Input:
    """What one input of the model takes."""

    def __init__(self, index: int, tensor: TensorSpec) -> None:
        self.index = index
        self._name = tensor.name
        self._datatype = PROTOCOL_NAMES[tensor.dtype]
        self._dtype = np.dtype(tensor.dtype)
        self._sizes = list(tensor.sizes)
        self._sample_bytes = math.prod(tensor.sizes) * self._dtype.itemsize

    def samples(self, tensor: _Tensor) -> int:
        """Return how many samples came; raise Refused if dtype or shape do not fit."""
        shape = tensor.shape
        if tensor.datatype != self._datatype:
            known = "" if tensor.datatype in NUMPY_NAMES else ", which this server does not know"
            raise bad(
                f'input "{self._name}" is {tensor.datatype}{known}; expected {self._datatype}'
            )
        if shape[1:] != self._sizes or not shape or not 0 < shape[0] < MOST_SAMPLES:
            expected = ["N", *self._sizes]
            raise bad(
                f'input "{self._name}" has shape {_listed(shape)}; expected {_listed(expected)} '
                f"with N of 1 or more"
            )
        return shape[0]

    def from_binary(
        self, tensor: _Tensor, size: object, binary: memoryview, at: int
    ) -> tuple[Array, int]:
        """Return the array that begins at byte `at`, and where it ends."""
        expected = tensor.shape[0] * self._sample_bytes
        if type(size) is not int or size != expected:
            raise bad(
                f'input "{self._name}" has {SIZE} {size}; its shape and datatype take {expected}'
            )
        if bytes(tensor.data):
            raise bad(f'input "{self._name}" has both data and {SIZE}')
        if at + expected > len(binary):
            raise bad(
                f'input "{self._name}" needs {expected} bytes after the JSON, but only '
                f"{len(binary) - at} are left"
            )
        array = np.frombuffer(binary[at : at + expected], self._dtype)
        return array.reshape(tensor.shape), at + expected

    def from_json(self, tensor: _Tensor) -> Array:
        """Return the array whose numbers stand in the JSON, flat or nested."""
        if not bytes(tensor.data):
            raise bad(f'input "{self._name}" has neither data nor {SIZE}')
        try:
            numbers = np.array(msgspec.json.decode(tensor.data))
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise bad(f'input "{self._name}" has data that is no array: {error}') from None
        expected = math.prod(tensor.shape)
        if numbers.size != expected or numbers.dtype.kind not in _KINDS[self._dtype.kind]:
            raise bad(
                f'input "{self._name}" has {numbers.size} values of kind {numbers.dtype.name}; '
                f"expected {expected} of {self._datatype}"
            )
        if self._dtype.kind in "iu":
            limits = np.iinfo(self._dtype)
            if numbers.min() < limits.min or numbers.max() > limits.max:
                raise bad(f'input "{self._name}" has values outside of {self._datatype}')
        with np.errstate(over="ignore"):  # beyond the dtype is infinity, as in a binary tensor
            return numbers.astype(self._dtype).reshape(tensor.shape)


def _refuse(given: dict[str, Any], names: Sequence[str], where: str) -> None:
    for name in names:
        if given.get(name):
            raise bad(f'{where} has the parameter "{name}", which this server does not support')


def _listed(sizes: Sequence[object]) -> str:
    shown = [str(size) for size in sizes[:8]]
    return f"[{', '.join(shown)}{', ...' if len(sizes) > len(shown) else ''}]"
