"""The stand-in of the Temporal Fusion Transformer: its sizes and its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest

from data.convert import tft
from tests.data.convert.tft_in_numpy import forecast

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Variables of all six kinds.
SMALL = tft.Sizes(
    width=8,
    heads=2,
    past=5,
    future=3,
    categorical={tft.STATIC: (7, 3), tft.KNOWN: (4,), tft.OBSERVED: (6, 2)},
    continuous={tft.STATIC: 1, tft.KNOWN: 2, tft.OBSERVED: 1},
)


def made(folder: Path, sizes: tft.Sizes, dtype: str = "float32", seed: int = 0) -> Path:
    path = folder / f"{dtype}-{seed}.onnx"
    tft.write(path, seed, dtype, sizes)
    return path


def inputs(sizes: tft.Sizes, count: int, dtype: str = "float32") -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(1)
    steps = {tft.STATIC: (), tft.KNOWN: (sizes.past + sizes.future,), tft.OBSERVED: (sizes.past,)}
    found: dict[str, NDArray[Any]] = {}
    for kind, axis in steps.items():
        if limits := sizes.categorical.get(kind):
            found[f"{kind}_categorical"] = random.integers(0, limits, (count, *axis, len(limits)))
        if width := sizes.continuous.get(kind):
            values = random.standard_normal((count, *axis, width)).astype(dtype)
            found[f"{kind}_continuous"] = values
    return found


def answers(path: Path, fed: dict[str, NDArray[Any]]) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: NDArray[Any] = session.run(["quantiles"], fed)[0]
    return found


@pytest.mark.parametrize("sizes", [SMALL, tft.ELECTRICITY], ids=["all inputs", "electricity"])
def test_it_computes_what_the_paper_says(tmp_path: Path, sizes: tft.Sizes) -> None:
    path, fed = made(tmp_path, sizes), inputs(sizes, 3)

    found = answers(path, fed)

    want = forecast(path, sizes, fed)
    np.testing.assert_allclose(found, want, atol=2e-5)
    assert want.std(0).mean() > 0.1, "samples have answers of their own"


def test_the_same_seed_is_the_same_file_and_another_is_not(tmp_path: Path) -> None:
    first = made(tmp_path, SMALL).read_bytes()

    assert made(tmp_path, SMALL).read_bytes() == first
    assert made(tmp_path, SMALL, seed=1).read_bytes() != first


def test_half_precision_answers_nearly_the_same(tmp_path: Path) -> None:
    fed = inputs(SMALL, 3, "float16")

    found = answers(made(tmp_path, SMALL, "float16"), fed)

    wide = {k: v.astype("float32") if v.dtype.kind == "f" else v for k, v in fed.items()}
    np.testing.assert_allclose(found, answers(made(tmp_path, SMALL), wide), atol=0.02)


def test_no_step_sees_what_is_known_of_later_ones(tmp_path: Path) -> None:
    path, fed = made(tmp_path, SMALL), inputs(SMALL, 1)
    found = answers(path, fed)
    fed["known_continuous"][:, -1] += 1

    changed = answers(path, fed)

    np.testing.assert_array_equal(changed[:, :-1], found[:, :-1])
    assert np.abs(changed[:, -1] - found[:, -1]).max() > 1e-3


def test_the_network_of_the_benchmark_has_the_sizes_of_the_public_configuration(
    tmp_path: Path,
) -> None:
    tft.make(tmp_path / "tft.onnx", 0, "float32")

    graph = onnx.load(tmp_path / "tft.onnx").graph

    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim][1:]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "static_categorical": [1],
        "known_continuous": [192, 3],
        "observed_continuous": [168, 1],
        "quantiles": [24, 3],
    }
