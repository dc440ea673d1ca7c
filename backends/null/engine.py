"""Answers at once with zeros, to measure the harness alone. Can fail or wait for tests.

Knows no model. Its facts mark every result as synthetic, so none can be submitted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from msgspec import Meta

from backends.arrays import check_arrays, check_samples
from backends.base import TensorSpec, check_rows
from backends.options import read_options
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, Arrays, EngineSpec, OptionValue

WHERE = "null backend"
S_PER_US = 1e-6

Count = Annotated[int, Meta(ge=1)]
Microseconds = Annotated[float, Meta(ge=0, le=60e6)]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the null backend.

    Attributes:
        output_size: numbers in an answer.
        fail_at_batch: the batch, counted from 1, at which `infer` raises RuntimeError.
        delay_us: sleep for every batch in microseconds; the system adds its own timer slack.
        delay_us_per_sample: additional sleep for each row.
    """

    output_size: Count = 1
    fail_at_batch: Count | None = None
    delay_us: Microseconds = 0.0
    delay_us_per_sample: Microseconds = 0.0


class NullEngine:
    """Every answer is a row of zeros: [len(rows), output_size] float32, read-only."""

    def __init__(self, spec: EngineSpec, options: Options) -> None:
        self.inputs = spec.inputs
        self.outputs = (TensorSpec(spec.output_name or "zeros", (options.output_size,), "float32"),)
        self.max_batch_size = spec.max_batch_size
        self.sizes: tuple[int, ...] = ()
        self.facts: Mapping[str, OptionValue] = {
            "backend": "null",
            "version": "1",
            "provider": "none",
            "precision": "none",
            "simulated": True,
            "synthetic_results": True,
        }
        self._zeros = np.zeros((spec.max_batch_size, options.output_size), np.float32)
        self._zeros.flags.writeable = False
        self._options = options
        self._acts = options != Options(output_size=options.output_size)
        self._bound = 0
        self._batches = 0
        self._closed = False

    def bind(self, samples: Arrays) -> None:
        """See `Engine.bind`. Keeps only the number of samples."""
        if self._closed:
            raise EngineError(f"{WHERE}: the engine is closed. Open a new one.")
        self._bound = len(check_samples(samples, self.inputs, WHERE)[0])

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """See `Engine.infer`.

        Raises:
            EngineError: as every engine.
            RuntimeError: this is the batch that `fail_at_batch` names.
        """
        if not self._bound:
            state = "closed. Open a new one" if self._closed else "without samples. Call bind first"
            raise EngineError(f"{WHERE}: the engine is {state}.")
        check_rows(rows, self._bound, self.max_batch_size, WHERE)
        if self._acts:
            self._act(len(rows))
        return (self._zeros[: len(rows)],)

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        """See `Engine.infer_arrays`; raises RuntimeError as `infer` does."""
        if self._closed:
            raise EngineError(f"{WHERE}: the engine is closed. Open a new one.")
        count = len(check_arrays(arrays, self.inputs, self.max_batch_size, WHERE)[0])
        if self._acts:
            self._act(count)
        return (self._zeros[:count],)

    def close(self) -> None:
        """See `Engine.close`."""
        self._bound = 0
        self._closed = True

    def _act(self, count: int) -> None:
        options = self._options
        self._batches += 1
        if self._batches == options.fail_at_batch:
            raise RuntimeError(f"{WHERE}: asked to fail at batch {self._batches}")
        delay_us = options.delay_us + options.delay_us_per_sample * count
        if delay_us:
            # Sleep instead of spinning, because a real engine also releases the interpreter lock.
            time.sleep(delay_us * S_PER_US)


def options_of(options: Mapping[str, OptionValue], device: str) -> Options:
    """Return the options, checked: see backends.base.check_options."""
    return read_options(options, Options, WHERE)


def open_engine(spec: EngineSpec) -> NullEngine:
    """Open the null engine; ignores `model_path` and `device`.

    Raises:
        ConfigError: an option that does not exist or does not fit.
    """
    return NullEngine(spec, options_of(spec.options, spec.device))
