"""Made-up consumption: what it looks like, and which inputs take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from data.benchmark import load_benchmark
from data.preprocess import prepare
from data.schema import InputTensor
from data.series import Series
from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SERIES = Series(seed=0, past=168, steps=192, consumers=369)


def consumption(row: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(SERIES.sample(row)["observed_continuous"][:, 0], np.float64)


def test_a_consumer_does_the_same_every_day_and_chance_does_the_rest() -> None:
    rows = range(200)

    repeats = [np.corrcoef(c[:-24], c[24:])[0, 1] for c in map(consumption, rows)]
    halves = [np.corrcoef(c[:-9], c[9:])[0, 1] for c in map(consumption, rows)]

    assert 0.6 < np.mean(repeats) < 0.95
    assert np.mean(halves) < 0.1


def test_weekends_are_others_than_workdays() -> None:
    found = []
    for row in range(200):
        sample = SERIES.sample(row)
        day = sample["known_continuous"][:168, 1].astype(float)
        weekend = day > np.unique(day)[4]
        hours = consumption(row)
        found.append(abs(hours[weekend].mean() - hours[~weekend].mean()))

    assert np.mean(found) > 0.2


def test_every_input_has_a_mean_of_0_and_a_deviation_of_1() -> None:
    samples = [SERIES.sample(row) for row in range(300)]

    for name in ("known_continuous", "observed_continuous"):
        values = np.stack([sample[name] for sample in samples]).astype(float)
        np.testing.assert_allclose(values.mean((0, 1)), 0, atol=0.1)
        np.testing.assert_allclose(values.std((0, 1)), 1, atol=0.1)
    assert len({int(sample["static_categorical"][0]) for sample in samples}) > 150


def test_the_benchmark_s_samples_are_named_synthetic(tmp_path: Path) -> None:
    benchmark = load_benchmark("tft-electricity")
    few = msgspec.structs.replace(benchmark.dataset, count=3)

    found = prepare(msgspec.structs.replace(benchmark, dataset=few), None, cache_dir=tmp_path)

    assert found.synthetic
    assert found.description == "3 synthetic samples of seed 0, like electricity"
    arrays = found.open()
    assert arrays["static_categorical"].dtype == np.int64
    np.testing.assert_allclose(
        arrays["observed_continuous"][2, :, 0].astype(float), consumption(2), rtol=1e-5, atol=1e-6
    )


def test_inputs_that_are_no_series_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(
        "name: b\ninput: {name: x, shape: [3]}\n"
        "dataset: {kind: synthetic, like: electricity, count: 4}\n"
    )

    with pytest.raises(ConfigError, match=r"dataset\.like: electricity has .* found x \[3\]"):
        load_benchmark(str(path))


def test_a_future_of_no_hours_is_refused() -> None:
    benchmark = load_benchmark("tft-electricity")
    shapes = {"static_categorical": (1,), "known_continuous": (5, 3), "observed_continuous": (5, 1)}
    inputs = tuple(InputTensor(name=name, shape=shape) for name, shape in shapes.items())

    with pytest.raises(ValueError, match="found static_categorical"):
        msgspec.structs.replace(benchmark, input=inputs).__post_init__()
