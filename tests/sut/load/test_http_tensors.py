"""Bodies of requests and answers: what is read, what is refused, and in which words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from backends.base import TensorSpec
from sut.load.http_errors import Refused
from sut.load.http_tensors import Codec

INPUTS = (TensorSpec("x", (2, 3), "float32"), TensorSpec("ids", (4,), "int8"))
OUTPUTS = (TensorSpec("y", (5,), "float32"), TensorSpec("best", (1,), "int64"))
CODEC = Codec("m", INPUTS, OUTPUTS, 4096)
X = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
IDS = np.arange(8, dtype=np.int8).reshape(2, 4)


def asked(**changes: Any) -> dict[str, Any]:
    """Return the JSON of a good request, with other values for some keys of input "ids"."""
    ids = {"name": "ids", "shape": [2, 4], "datatype": "INT8", "data": IDS.tolist(), **changes}
    x = {"name": "x", "shape": [2, 2, 3], "datatype": "FP32", "data": X.ravel().tolist()}
    return {"id": "7", "inputs": [x, ids]}


def refusal(request: object, tail: bytes = b"", length: int | None = None) -> str:
    body = json.dumps(request).encode() if not isinstance(request, bytes) else request
    with pytest.raises(Refused) as refused:
        CODEC.read(body + tail, len(body) if length is None else length)
    assert refused.value.status == 400
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_numbers_in_json_become_arrays_flat_or_nested() -> None:
    body = json.dumps(asked()).encode()

    request = CODEC.read(body, None)

    assert (request.samples, request.id) == (2, "7")
    np.testing.assert_array_equal(request.arrays[0], X)
    np.testing.assert_array_equal(request.arrays[1], IDS)
    assert [array.dtype.name for array in request.arrays] == ["float32", "int8"]


def test_binary_tensors_are_views_of_the_body_in_the_order_of_the_request() -> None:
    ids = {
        "name": "ids",
        "shape": [2, 4],
        "datatype": "INT8",
        "parameters": {"binary_data_size": 8},
    }
    x = {
        "name": "x",
        "shape": [2, 2, 3],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 48},
    }
    head = json.dumps({"inputs": [ids, x]}).encode()
    body = head + IDS.tobytes() + X.tobytes()

    request = CODEC.read(body, len(head))

    np.testing.assert_array_equal(request.arrays[0], X)
    np.testing.assert_array_equal(request.arrays[1], IDS)
    assert not request.arrays[0].flags.owndata
    assert not request.arrays[0].flags.writeable


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"name": "idz"}, 'there is no input "idz"; expected "x", "ids". Did you mean "ids"?'),
        ({"name": "x"}, 'input "x" comes twice'),
        ({"datatype": "INT64"}, 'input "ids" is INT64; expected INT8'),
        ({"datatype": "BYTES"}, "BYTES, which this server does not know"),
        ({"shape": [2, 5]}, 'input "ids" has shape [2, 5]; expected [N, 4]'),
        ({"shape": [0, 4]}, "with N of 1 or more"),
        ({"shape": [-2, 4]}, "has shape [-2, 4]"),
        ({"shape": []}, "has shape []"),
        ({"shape": [1 << 40, 4]}, "has shape"),
        ({"shape": [3, 4]}, '"ids" has 3 samples, but another has 2'),
        ({"shape": [2.5, 4]}, "Expected `int`"),
        ({"data": [1, 2]}, "has 2 values of kind int64; expected 8 of INT8"),
        ({"data": [[1, 2], [3]]}, "data that is no array"),
        ({"data": [1.5] * 8}, "8 values of kind float64"),
        ({"data": ["a"] * 8}, "8 values of kind str"),
        ({"data": [None] * 8}, "8 values of kind object"),
        ({"data": [True] * 8}, "8 values of kind bool"),
        ({"data": [300] * 8}, "outside of INT8"),
        ({"data": [10**30] * 8}, "values of kind"),
        ({"data": {}}, "values of kind object"),
        ({"parameters": {"binary_data_size": 8}}, "both data and binary_data_size"),
        ({"parameters": {"binary_data_size": 9}}, "binary_data_size 9; its shape"),
        ({"parameters": {"binary_data_size": "8"}}, "binary_data_size 8; its shape"),
        ({"parameters": {"shared_memory_region": "r"}}, '"shared_memory_region"'),
    ],
)
def test_an_input_that_does_not_fit_is_refused_in_one_line(
    changes: dict[str, Any], fragment: str
) -> None:
    assert fragment in refusal(asked(**changes))


def test_a_request_without_all_inputs_or_with_bytes_left_over_is_refused() -> None:
    request = asked()
    assert "4 bytes follow the JSON, but its inputs take 0" in refusal(request, b"abcd")
    del request["inputs"][0]
    assert 'input "x" is missing' in refusal(request)
    del request["inputs"][0]["data"]
    assert "neither data nor binary_data_size" in refusal(request)
    request["inputs"][0]["parameters"] = {"binary_data_size": 8}
    assert "needs 8 bytes after the JSON, but only 4 are left" in refusal(request, b"abcd")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"inputs":[' + b"[" * 9000]
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    assert refusal(body)


def test_a_json_length_beyond_the_body_is_refused() -> None:
    assert "said to have 99 bytes, but the body has 2" in refusal(b"{}", length=99)


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"parameters": {"sequence_id": 3}}, '"sequence_id", which this server does not support'),
        ({"outputs": [{"name": "z"}]}, 'there is no output "z"; expected "y", "best"'),
        ({"outputs": [{"name": "y", "parameters": {"classification": 2}}]}, '"classification"'),
    ],
)
def test_what_is_asked_for_in_vain_is_refused(changes: dict[str, Any], fragment: str) -> None:
    assert fragment in refusal({**asked(), **changes})


def test_an_answer_has_the_wanted_outputs_as_json_or_binary() -> None:
    y, best = np.ones((2, 5), np.float32), np.array([[3], [4]])
    wanted = [{"name": "best"}, {"name": "y", "parameters": {"binary_data": True}}]
    request = CODEC.read(json.dumps({**asked(), "outputs": wanted}).encode(), None)

    body, length = CODEC.write(request, (y, best))

    assert length is not None
    head = msgspec.json.decode(body[:length])
    assert (head["model_name"], head["model_version"], head["id"]) == ("m", "1", "7")
    assert head["outputs"] == [
        {"name": "best", "datatype": "INT64", "shape": [2, 1], "data": [3, 4]},
        {
            "name": "y",
            "datatype": "FP32",
            "shape": [2, 5],
            "parameters": {"binary_data_size": 40},
        },
    ]
    assert body[length:] == y.tobytes()


def test_all_outputs_come_as_json_unless_the_client_says_otherwise() -> None:
    y, best = np.ones((2, 5), np.float32), np.array([[3], [4]])

    body, length = CODEC.write(CODEC.read(json.dumps(asked()).encode(), None), (y, best))

    assert length is None
    assert [output["name"] for output in msgspec.json.decode(body)["outputs"]] == ["y", "best"]
