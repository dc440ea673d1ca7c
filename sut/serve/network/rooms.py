"""How many samples a node has room for; both sides compute it from the same settings."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import TensorSpec
    from sut.config.settings import HarnessSettings

# While a batch computes, as many samples again travel; more only wait here instead of at the QDL.
_DEPTH = 2
_LEAST_ROWS = 64
_MOST_BYTES = 1 << 30


def rows_for(harness: HarnessSettings, inputs: Sequence[TensorSpec]) -> int:
    """Return how many samples a node takes before it must answer.

    Args:
        harness: of the node's own devices.
        inputs: of the model.
    """
    caps = [harness.cap(device) for _, device in harness.worker_devices()]
    sample_bytes = sum(prod(tensor.sizes) * np.dtype(tensor.dtype).itemsize for tensor in inputs)
    fitting = max(_MOST_BYTES // sample_bytes, *caps)
    return min(max(_DEPTH * harness.slots * sum(caps), _LEAST_ROWS), fitting)
