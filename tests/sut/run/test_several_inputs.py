"""A model of three inputs of different types through all four scenarios, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from scenarios import scenario_names
from tests.backends.models import THREE, save, three, three_weights
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.sut.helpers.program import Program

COUNT = 20


@pytest.fixture(scope="module")
def held() -> dict[str, NDArray[Any]]:
    """Return the inputs of COUNT samples."""
    random = np.random.default_rng(8)
    return {
        "ids": random.integers(0, 12, (COUNT, 6), np.int64),
        "mask": random.integers(0, 2, (COUNT, 6)).astype(bool),
        "values": random.integers(-8, 9, (COUNT, 3, 4)).astype(np.float32),
    }


def classes(held: dict[str, NDArray[Any]]) -> list[int]:
    """Compute the model's answers by plain loops."""
    weights = three_weights()
    found = []
    for ids, mask, values in zip(held["ids"], held["mask"], held["values"], strict=True):
        logits = [0.0] * 5
        for answer in range(len(logits)):
            for k in range(6):
                word = float(weights["table"][ids[k]]) if mask[k] else 0.0
                logits[answer] += word * float(weights["w"][k, answer])
            for k, value in enumerate(values.reshape(-1)):
                logits[answer] += float(value) * float(weights["v"][k, answer])
        found.append(logits.index(max(logits)))
    return found


@pytest.fixture(scope="module")
def benchmark_yaml(held: dict[str, NDArray[Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a benchmark with its model and an .npz file of samples; the first label is wrong."""
    folder = tmp_path_factory.mktemp("three")
    save(three(), folder)
    labels = np.array(classes(held))
    labels[0] = (labels[0] + 1) % 5
    np.savez(folder / "text.npz", labels=labels, **held)  # type: ignore[arg-type]  # arrays
    content = {
        "name": "three",
        "models": [{"kind": "file", "path": "model.onnx"}],
        "input": [
            {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
            for tensor in THREE
        ],
        "dataset": {"kind": "arrays", "path": "text.npz", "labels": "labels", "classes": 5},
        "performance_sample_count": 8,
        "rounds": {"current": {"Server": {"target_latency_ms": 5000}}},
    }
    path = folder / "three.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


@pytest.mark.slow
def test_the_responses_of_every_scenario_are_those_of_plain_loops(
    program: Program, benchmark_yaml: Path, held: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    options = ("--mode", "accuracy", "--max-batch-size", 4, "--out", tmp_path / "out")

    done = program.run("run", "-b", benchmark_yaml, "-s", "all", *options)

    assert done.code == 0, done.err
    wanted = [np.float32(label).tobytes() for label in classes(held)]
    for name in scenario_names():
        folder = tmp_path / "out" / name
        log = json.loads((folder / "mlperf_log_accuracy.json").read_text())
        answers = {record["qsl_idx"]: bytes.fromhex(record["data"]) for record in log}
        assert answers == dict(enumerate(wanted))
        accuracy = json.loads((folder / "summary.json").read_text())["accuracy"]
        assert (accuracy["good"], accuracy["n"]) == (COUNT - 1, COUNT)


def test_data_without_an_input_is_refused_in_one_line(
    benchmark_yaml: Path, held: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    data, out = tmp_path / "text", tmp_path / "out"
    data.mkdir()
    for name in ("ids", "values"):
        np.save(data / f"{name}.npy", held[name])

    done = run_here("run", "-b", benchmark_yaml, "-s", "Offline", "--data", data, "--out", out)

    assert done.code == 2
    said = done.err.splitlines()[-1]  # before it there may be a line of progress
    assert said.startswith("sut: ")
    assert 'no array for input "mask"; expected "mask", [N, 6] bool' in said
    assert not out.exists()
