"""The Open Inference Protocol (KServe v2) over HTTP: what its server and its client share.

Knows names of data types and headers; no socket, no model.
Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md, and
Triton's extension of binary tensors, docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The length in bytes of the JSON before the binary tensors of a body.
HEADER_LENGTH = "Inference-Header-Content-Length"
VERSION = "1"

# NumPy's name by the protocol's. BYTES and BF16 have no fixed NumPy type.
NUMPY_NAMES: Mapping[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
PROTOCOL_NAMES: Mapping[str, str] = {numpy: name for name, numpy in NUMPY_NAMES.items()}
