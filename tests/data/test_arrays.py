"""Data sets of arrays, for models of one input or several: what is read, and what is refused."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from data.preprocess import prepare
from sut.base.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from data.preprocess import SampleSet
    from tests.data.conftest import MakeBenchmark

    Arrays = Mapping[str, NDArray[Any]]

COUNT = 5
INPUTS = [
    {"name": "ids", "shape": [6], "dtype": "int64"},
    {"name": "mask", "shape": [6], "dtype": "bool"},
    {"name": "values", "shape": [3, 4]},
]
NAMES = ["ids", "mask", "values"]


def arrays() -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(1)
    return {
        "ids": random.integers(0, 9, (COUNT, 6), np.int64),
        "mask": random.integers(0, 2, (COUNT, 6)).astype(bool),
        "values": random.standard_normal((COUNT, 3, 4)).astype(np.float32),
    }


def save_npz(folder: Path, held: Arrays) -> str:
    np.savez(folder / "held.npz", **held)  # type: ignore[arg-type]  # no array is an option
    return "held.npz"


def save_folder(folder: Path, held: Arrays) -> str:
    (folder / "held").mkdir(exist_ok=True)
    for name, array in held.items():
        np.save(folder / "held" / f"{name}.npy", array)
    return "held"


def ready(
    make: MakeBenchmark, tmp_path: Path, held: Arrays, *, save: Any = save_npz, **dataset: object
) -> SampleSet:
    return again(make, tmp_path, **{"path": save(tmp_path, held), **dataset})


def again(make: MakeBenchmark, tmp_path: Path, **dataset: object) -> SampleSet:
    own = {"kind": "arrays", "path": "held.npz", **dataset}
    benchmark = make(input=INPUTS, preprocess=[], dataset=own)
    return prepare(benchmark, None, cache_dir=tmp_path / "cache", jobs=2)


@pytest.mark.parametrize("save", [save_npz, save_folder])
def test_every_input_gets_its_array(
    make_benchmark: MakeBenchmark, tmp_path: Path, save: Any
) -> None:
    held = arrays()

    samples = ready(make_benchmark, tmp_path, held, save=save)

    assert (samples.count, samples.labels, samples.names) == (COUNT, None, ())
    assert samples.inputs == tuple(NAMES)
    assert samples.description.startswith(f"{COUNT} samples of ")
    for name, array in samples.open().items():
        np.testing.assert_array_equal(array, held[name], strict=True)
        assert array.flags.c_contiguous
    assert again(make_benchmark, tmp_path, path=samples.description.split("/")[-1]) == samples


def test_a_change_in_any_array_makes_other_samples(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    before = ready(make_benchmark, tmp_path, arrays(), save=save_folder)

    for name, array in arrays().items():
        changed = {**arrays(), name: ~array if name == "mask" else array + 1}
        after = ready(make_benchmark, tmp_path, changed, save=save_folder)

        assert after.digest != before.digest
        np.testing.assert_array_equal(after.open()[name], changed[name])


def test_a_damaged_file_of_one_input_is_made_again(
    make_benchmark: MakeBenchmark, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = ready(make_benchmark, tmp_path, arrays())
    path = first.paths[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    assert again(make_benchmark, tmp_path) == first
    assert "made again" in caplog.text
    np.testing.assert_array_equal(first.open()["mask"], arrays()["mask"])


def test_one_input_may_be_one_file(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    values = arrays()["values"]
    np.save(tmp_path / "some.npy", values)
    benchmark = make_benchmark(
        input=INPUTS[2], preprocess=[], dataset={"kind": "arrays", "path": "some.npy"}
    )

    samples = prepare(benchmark, None, cache_dir=tmp_path / "cache")

    np.testing.assert_array_equal(samples.open()["values"], values, strict=True)


def test_an_input_may_be_one_number_a_sample(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    lengths = np.arange(COUNT, dtype=np.int32)
    dataset = {"kind": "arrays", "path": save_npz(tmp_path, {"lengths": lengths})}
    one = {"name": "lengths", "shape": [], "dtype": "int32"}
    benchmark = make_benchmark(input=one, preprocess=[], dataset=dataset)

    samples = prepare(benchmark, None, cache_dir=tmp_path / "cache")

    np.testing.assert_array_equal(samples.open()["lengths"], lengths, strict=True)
    assert prepare(benchmark, None, cache_dir=tmp_path / "cache") == samples


def test_labels_lie_beside_the_inputs(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    held = {**arrays(), "answers": np.arange(COUNT), "notes": np.zeros(3)}

    samples = ready(make_benchmark, tmp_path, held, labels="answers", classes=COUNT)

    assert samples.labels == tuple(range(COUNT))
    assert samples.description.endswith("(left out: notes)")


@pytest.mark.parametrize("save", [save_npz, save_folder])
def test_data_of_the_command_line_replaces_synthetic_samples(
    make_benchmark: MakeBenchmark, tmp_path: Path, save: Any
) -> None:
    dataset = {"kind": "synthetic", "count": 3, "below": {"ids": 2}}
    benchmark = make_benchmark(input=INPUTS, preprocess=[], dataset=dataset)
    path = tmp_path / save(tmp_path, {**arrays(), "labels": np.arange(COUNT)})

    own = prepare(benchmark, path, cache_dir=tmp_path / "cache")
    made = prepare(benchmark, None, cache_dir=tmp_path / "cache")

    assert own.labels == tuple(range(COUNT))
    assert not own.synthetic
    assert (made.synthetic, made.count) == (True, 3)
    assert {array.dtype.name for array in made.open().values()} == {"int64", "bool", "float32"}
    assert set(np.unique(made.open()["ids"])) == {0, 1}


# Refusals


def without(name: str) -> dict[str, NDArray[Any]]:
    return {other: array for other, array in arrays().items() if other != name}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (
            without("mask"),
            r'no array for input "mask"; expected "mask", \[N, 6\] bool.*ids, values',
        ),
        (
            {**without("mask"), "maks": arrays()["mask"]},
            r'no array for input "mask".*Did you mean "maks"',
        ),
        (
            {**arrays(), "ids": arrays()["ids"].astype(np.int32)},
            r'"ids" is \[5, 6\] int32; expected \[N, 6\] int64',
        ),
        (
            {**arrays(), "ids": arrays()["ids"].astype(">i8")},
            r'"ids" is \[5, 6\] >i8; expected \[N, 6\] int64',
        ),
        (
            {**arrays(), "values": arrays()["values"][:, :2]},
            r'"values" is \[5, 2, 4\] float32; expected \[N, 3, 4\] float32',
        ),
        ({**arrays(), "ids": arrays()["ids"][:0]}, r'"ids" is \[0, 6\] int64.*N of 1 or more'),
        ({**arrays(), "ids": np.int64(3)}, r'"ids" is \[\] int64'),
        ({**arrays(), "values": arrays()["values"][:4]}, r'"values" has 4 rows, but "ids" has 5'),
        ({**arrays(), "mask": np.array([None])}, r"cannot be read: .*without Python objects"),
    ],
)
@pytest.mark.parametrize("save", [save_npz, save_folder])
def test_arrays_that_do_not_fit_are_refused_in_one_line(
    make_benchmark: MakeBenchmark, tmp_path: Path, save: Any, held: Arrays, said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        ready(make_benchmark, tmp_path, held, save=save)

    assert "\n" not in str(caught.value)
    assert str(tmp_path / "held") in str(caught.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.arange(COUNT - 1), r'"answers" has 4 rows, but "ids" has 5'),
        (np.zeros(COUNT), r'"answers" is \[5\] float64; expected labels, \[N\] whole numbers'),
        (np.arange(COUNT) * 3, r'array "answers".*12'),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    make_benchmark: MakeBenchmark, tmp_path: Path, labels: NDArray[Any], said: str
) -> None:
    held = {**arrays(), "answers": labels}

    with pytest.raises(DataError, match=said):
        ready(make_benchmark, tmp_path, held, labels="answers", classes=10)


def test_labels_that_are_not_there_are_refused_with_the_nearest(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    held = {**arrays(), "answers": np.arange(COUNT)}

    with pytest.raises(DataError, match=r'no array "answer".*Did you mean "answers"'):
        ready(make_benchmark, tmp_path, held, labels="answer")


@pytest.mark.parametrize("name", ["gone.npz", "gone", "text.npz", "cut.npz"])
def test_a_path_without_arrays_is_refused(
    make_benchmark: MakeBenchmark, tmp_path: Path, name: str
) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    save_npz(tmp_path, arrays())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "held.npz").read_bytes()[:300])

    with pytest.raises(DataError, match=rf"{name}: .*expected ") as caught:
        ready(make_benchmark, tmp_path, arrays(), path=name)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input": []}, r"input: .*expected"),
        ({"input": "ids"}, r'input: got text "ids"; expected'),
        ({"input": [INPUTS[0], {**INPUTS[1], "nam": "x"}]}, r"input\[1\]\.nam: unknown key.*name"),
        ({"input": [INPUTS[0], {"name": "x"}]}, r"input\[1\]\.shape: missing; expected a list"),
        ({"input": [INPUTS[0], {**INPUTS[1], "dtype": "int"}]}, r"input\[1\]\.dtype.*int64"),
        ({"input": [*INPUTS, deepcopy(INPUTS[0])]}, r'input: "ids" is repeated'),
        ({"dataset": {"kind": "folder", "folder": "i"}}, r"3 inputs, but an image is one"),
        (
            {"input": {"name": "x", "shape": []}, "dataset": {"kind": "folder", "folder": "i"}},
            r"input\.shape: no axes; expected those of an image",
        ),
        ({"preprocess": [{"step": "normalize"}]}, r"preprocess: its steps are for images"),
        (
            {"dataset": {"kind": "synthetic", "count": 1, "below": {"idz": 2}}},
            r'dataset\.below: there is no input "idz".*Did you mean "ids"',
        ),
    ],
)
def test_a_benchmark_whose_inputs_make_no_sense_is_refused(
    make_benchmark: MakeBenchmark, changes: dict[str, object], said: str
) -> None:
    whole = {"input": INPUTS, "preprocess": [], "dataset": {"kind": "arrays", "path": "a.npz"}}

    with pytest.raises(ConfigError, match=said) as caught:
        make_benchmark(**{**whole, **changes})

    assert "\n" not in str(caught.value)


def test_images_cannot_be_named_for_several_inputs(
    make_benchmark: MakeBenchmark, make_images: Any, tmp_path: Path
) -> None:
    dataset = {"kind": "synthetic", "count": 3}
    benchmark = make_benchmark(input=INPUTS, preprocess=[], dataset=dataset)

    with pytest.raises(DataError, match=r'no array for input "ids"'):
        prepare(benchmark, make_images("a.png"), cache_dir=tmp_path / "cache")
