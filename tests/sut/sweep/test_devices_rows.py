"""Rows of a comparison of devices, made of what was measured, and their text."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.layers import Layer
from data.tasks.classification import ArgMax
from sut.models.graph_cost import GraphCost
from sut.record.table import Row, Table, decode, encode
from sut.sweep.devices import text
from sut.sweep.devices.act import Answered
from sut.sweep.devices.bench import Once
from sut.sweep.devices.plan import Point
from sut.sweep.devices.proof import macs_by_precision
from sut.sweep.devices.roofline import Roof
from sut.sweep.devices.rows import Measured, Reference, rows_of, together
from sut.sweep.devices.timing import Median, Timed
from sut.sweep.devices.ways import Device, Way

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data.preprocess import SampleSet

X86 = Device("cpu", "x86", features=frozenset({"avx2", "avx512_vnni"}))
T4 = Device("0", "Tesla T4", 75)
TERA = 1e12
COST = GraphCost(8, 5 * 10**11, 0, 10**8, 10**9, 2 * 10**9, 60, {"Conv": 5 * 10**11})
ROOF = Roof(100 * TERA, 500e9, "a datasheet")  # the ridge is at 200 operations a byte


def timed(ms: float, samples_per_s: float = 100.0) -> Timed:
    middle = Median(ms * 1e6, ms * 0.99e6, ms * 1.01e6)
    return Timed(middle, middle, ms * 1e6, 0.0, samples_per_s, (1.0, 2.0), 60, 5, 0, 1, 60)


def point(
    precision: str = "int8",
    batch: int = 8,
    device: Device = X86,
    label: str = "",
    refused: str = "",
) -> Point:
    return Point(device, "onnxruntime", Way(precision, label=label, refused=refused), batch)


def once(
    ms: float = 20.0,
    layers: Sequence[Layer] | None = None,
    answers: Mapping[int, int] | None = None,
    **facts: str,
) -> Once:
    answers = answers or {}
    records = [b64encode(np.float32(a).tobytes()).decode() for a in answers.values()]
    kept = None if layers is None else tuple(layers)
    found = Answered(timed(ms), 10**8, tuple(records), kept)
    return Once(found, facts={"precision": "fp32", **facts}, rows=tuple(answers))


class Samples:
    """Prepared samples, as far as a row looks at them."""

    labels = (0, 1, 2, 3)


def test_three_repeats_say_how_far_repeats_differ() -> None:
    narrow = [Median(v, v - 0.1, v + 0.1) for v in (9.0, 10.0, 11.0)]
    value, low, high = together(narrow)

    spread = 4.303 * float(np.std(np.log([9.0, 10.0, 11.0]), ddof=1)) / 3**0.5
    assert value == 10.0
    assert np.log(high / value) == pytest.approx(spread)
    assert low * high == pytest.approx(value**2)
    assert together(narrow[:2]) == pytest.approx((9.5, 9.4, 9.6), rel=1e-3)


def test_the_windows_of_a_row_are_those_of_its_middle_repeat() -> None:
    tries = [once(ms) for ms in (10.0, 30.0, 20.0)]
    for k, one in enumerate(tries):
        assert one.answered is not None
        middle = replace(one.answered.timed, samples_per_s=float(k), windows=(float(k),))
        tries[k] = replace(one, answered=replace(one.answered, timed=middle))
    (row,) = rows_of([Measured(point(), tries)], lambda p: {}, None)

    assert row.windows == (1.0,)
    assert row.figures["samples_per_s"] == 1.0
    assert row.figures["compute_p50_ns"] == 20e6


def test_a_row_has_the_precision_in_which_it_really_ran() -> None:
    conv = Layer("a", "Conv", "fp32", ((1, 4, 5, 5), (6, 4, 1, 1)), ((1, 6, 5, 5),))
    quantized = Layer("b", "QLinearConv", "int8", ((), (), (), (6, 4, 1, 1)), ((1, 6, 10, 5),))
    (row,) = rows_of([Measured(point(), [once(layers=[conv, quantized])])], lambda p: {}, None)

    assert row.figures["layers_share"] == 0.5
    assert row.figures["flops_share"] == pytest.approx(2 / 3)
    assert row.labels["ran in"] == "1 fp32, 1 int8"


def test_layers_that_name_their_nodes_take_the_flops_of_the_graph() -> None:
    layers = [
        Layer("a", "CaskConv", "int8", nodes=("c1", "r")),
        Layer("b", "gemm", "fp16", nodes=("g",)),
    ]
    found = macs_by_precision(layers, {"c1": 30, "g": 10})

    assert found == {"int8": 30, "fp16": 10}
    assert macs_by_precision([*layers, Layer("c", "conv", "fp16")], {"c1": 30, "g": 10}) is None


def test_fp16_that_ran_in_fp32_is_under_the_roof_of_fp32() -> None:
    conv = Layer("a", "Conv", "fp32", ((1, 4, 5, 5), (6, 4, 1, 1)), ((1, 6, 5, 5),))
    one = Measured(point("fp16", label="casts"), [once(layers=[conv])], COST)
    roofs = {"fp32": ROOF, "fp16": replace(ROOF, flops_per_s=900 * TERA)}
    (row,) = rows_of([one], lambda p: roofs, None)

    assert row.figures["layers_share"] == row.figures["flops_share"] == 0.0
    assert row.figures["peak_flops_per_s"] == 100 * TERA
    assert row.labels["bound"] == "compute"
    assert row.labels["support"] == "casts"


def test_tf32_claims_no_share_and_other_libraries_tell_by_types() -> None:
    plain = [Layer("a", "conv", "fp32")]
    *tf32, torch = rows_of(
        [
            Measured(point("tf32"), [once(layers=plain)]),
            Measured(point("tf32"), [once(precision="fp32")]),
            Measured(point("bf16"), [once(precision="bf16")]),
        ],
        lambda p: {},
        None,
    )

    for row in tf32:
        assert "flops_share" not in row.figures
        assert "tf32 is allowed" in row.labels["ran in"]
    assert torch.figures["flops_share"] == 1.0


def test_layers_that_could_not_be_asked_for_prove_nothing() -> None:
    found = once(precision="fp16")
    assert found.answered is not None
    unknown = replace(found, answered=replace(found.answered, layers_problem="no profile"))
    (row,) = rows_of([Measured(point("fp16"), [unknown])], lambda p: {}, None)

    assert "layers_share" not in row.figures
    assert "ran in" not in row.labels
    assert row.marks == ("no profile",)


def test_a_row_has_its_accuracy_and_its_difference() -> None:
    samples: SampleSet = Samples()  # type: ignore[assignment]  # all that is looked at
    reference = Reference(
        {k: np.float32(k).tobytes() for k in range(4)}, samples, ArgMax()
    )  # fmt: skip
    found = once(answers={0: 0, 1: 1, 3: 9})
    (row,) = rows_of([Measured(point(), [found])], lambda p: {}, reference)

    assert row.figures["accuracy"] == pytest.approx(2 / 3)
    assert row.figures["accuracy_delta"] == pytest.approx(-1 / 3)
    assert row.figures["accuracy_delta_low"] < row.figures["accuracy_delta_high"]
    assert row.figures["same_share"] == pytest.approx(2 / 3)


def test_refused_failed_and_half_failed_rows_say_why() -> None:
    broken = Once(None, "out of memory: device 0: no room", folder="points/002")
    refused, failed, half = rows_of(
        [
            Measured(point(refused="no such unit")),
            Measured(point(), [broken]),
            Measured(point(batch=1), [once(), broken]),
        ],
        lambda p: {},
        None,
    )

    assert refused.problem == "refused: no such unit"
    assert failed.problem == "out of memory: device 0: no room"
    assert half.problem is None
    assert "1 of 2 tries failed: out of memory" in half.marks[0]


def test_a_simulated_device_draws_what_it_says_and_claims_no_precision() -> None:
    drawn = once(simulated="True", power_w="70.0")
    (row,) = rows_of([Measured(point("fp32"), [drawn])], lambda p: {}, None)

    assert row.simulated
    assert row.figures["power_w"] == 70.0
    assert row.figures["energy_j_per_sample"] == pytest.approx(0.7)
    assert "ran in" not in row.labels


def test_a_row_above_its_roof_is_doubtful() -> None:
    (row,) = rows_of([Measured(point("fp32"), [once(ms=5)], COST)], lambda p: {"fp32": ROOF}, None)

    assert "faster than the device's peak" in row.marks[-1]


# --- text


def test_differences_of_devices_come_first_and_notes_name_all_batches_at_once() -> None:
    rows = rows_of(
        [
            Measured(point(batch=1, refused="no such unit")),
            Measured(point(batch=8, refused="no such unit")),
            Measured(point("fp32", device=T4), [once(layers=[])], COST),
        ],
        lambda p: {"fp32": ROOF},
        None,
    )
    table = Table(
        title="t", source=text.SOURCE, load="offline", configuration={"a": "b"}, rows=tuple(rows),
        environment={"device cpu cores": "2", "device 0 driver": "1", "device cpu driver": "1"},
    )  # fmt: skip

    assert text.differences(table) == [("cores", {"cpu": "2", "0": "-"})]
    assert text.notes(table) == [
        "device cpu, precision int8: refused: no such unit",
        "The peak of device 0: a datasheet.",
    ]
    written = text.markdown(table)
    assert written.index("In what the devices differ") < written.index("## Speed")
    assert "20 (19.8 to 20.2)" in written
    assert decode(encode(table), "here") == table


def test_a_line_for_each_try() -> None:
    (row,) = rows_of([Measured(point(), [once()])], lambda p: {}, None)

    assert text.told(row) == "device cpu, precision int8, batch 8: 20 ms ± 1.0%, 100 samples/s"
    assert text.told(Row(point={"device": "0"}, problem="gone")) == "device 0: gone"
