"""Run TensorFlow.js itself, to compare the converter with it.

    npm install --prefix FOLDER --ignore-scripts @tensorflow/tfjs-core@4.22.0 \
        @tensorflow/tfjs-converter@4.22.0 @tensorflow/tfjs-backend-cpu@4.22.0
    python -m tests.detect.tfjs_reference FOLDER

writes what it answers to the small graphs of tfjs_cases.py to tfjs_expected.json, which the tests
read. With the JSON file of a model behind FOLDER it compares the whole network on one input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from data.convert import tfjs
from data.convert.tfjs_file import read_tfjs
from tests.data.convert.tfjs_cases import CASES, INPUT

Floats = NDArray[np.float32]

HERE = Path(__file__).resolve().parent
EXPECTED = HERE.parent / "data" / "convert" / "tfjs_expected.json"


def run_tfjs(folder: Path, model: Path, outputs: list[str], name: str, x: Floats) -> list[Floats]:
    """Return what TensorFlow.js, installed in `folder`, answers to the sample `x`, [1, ...]."""
    request = {"input": name, "shape": x.shape, "values": x.reshape(-1).tolist()}
    done = subprocess.run(
        ["node", str(HERE / "tfjs_reference.js"), str(folder), str(model)],
        input=json.dumps({**request, "outputs": outputs}).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return [
        np.array(each["values"], np.float32).reshape(each["shape"])
        for each in json.loads(done.stdout)
    ]


def write_expected(folder: Path) -> None:
    """Write the answers to all small graphs, sample by sample."""
    lines = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            path = case.write(Path(scratch))
            answers = [
                run_tfjs(folder, path, [case.output], INPUT, sample[None])[0]
                for sample in case.images()
            ]
        batch = np.concatenate(answers)
        values = [float(f"{value:.7g}") for value in batch.reshape(-1).tolist()]
        answer = json.dumps({"shape": batch.shape, "values": values}, separators=(",", ":"))
        lines.append(f'"{case.name}": {answer}')
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def compare(folder: Path, model: Path) -> None:
    """Print how far the ONNX file of a known network is from the original, on one input."""
    outputs = tfjs.VARIANTS[model.stem]
    placeholder = next(node for node in read_tfjs(model).nodes.values() if node.op == "Placeholder")
    generator = np.random.default_rng(0)
    sample = generator.standard_normal(placeholder.attributes["shape"]).astype(np.float32)
    names = [part for output in outputs for part in output.parts]
    answers = iter(run_tfjs(folder, model, names, placeholder.name, sample))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        tfjs.convert(model, path, model.stem)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (wanted,) = session.get_inputs()
        if wanted.shape[1:] != list(sample.shape[1:]):
            sample = np.ascontiguousarray(sample.transpose(0, 3, 1, 2))
        made = session.run(None, {wanted.name: sample})
    for output, mine in zip(outputs, made, strict=True):
        theirs = np.concatenate([next(answers) for _ in output.parts], axis=1)
        difference = float(np.abs(mine - theirs).max())
        print(f"{model.stem} {output.name}: {difference:.2g} of {np.abs(theirs).max():.4g}")


if __name__ == "__main__":
    where, *models = map(Path, sys.argv[1:])
    for each in models:
        compare(where, each)
    if not models:
        write_expected(where)
