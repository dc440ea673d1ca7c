"""Ways to ask for a precision, accuracy deltas, and what bounds a batch."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from data.tasks.classification import JUDGE
from sut.base.errors import ConfigError
from sut.models.graph_cost import GraphCost
from sut.sweep.devices.delta import delta, paired_interval
from sut.sweep.devices.plan import chosen
from sut.sweep.devices.roofline import Roof, achieved, bound_by, fixed_part_s
from sut.sweep.devices.ways import Device, check_precisions, way

if TYPE_CHECKING:
    from collections.abc import Mapping


X86 = Device("cpu", "x86", features=frozenset({"avx2", "avx512_vnni"}))
T4, NANO, H100 = Device("0", "Tesla T4", 75), Device("1", "Nano", 53), Device("2", "H100", 90)
TERA = 1e12


# --- ways


@pytest.mark.parametrize(
    ("backend", "device", "precision", "fragment"),
    [
        ("tensorrt", T4, "bf16", "SM 75 has neither"),
        ("tensorrt", NANO, "int8", "SM 53 has neither"),
        ("torch", T4, "tf32", "SM 75 has neither"),
        ("torch", H100, "int8", "use onnxruntime on a CPU, or tensorrt"),
        ("onnxruntime", H100, "int8", "use backend tensorrt"),
        ("tensorrt", H100, "fp8", "cannot be asked for fp8 on a GPU"),
        ("tensorrt", X86, "fp32", "does not run on a CPU"),
        ("onnxruntime", X86, "tf32", "cannot be asked for tf32 on a CPU"),
        ("simulated", T4, "fp16", "no model"),
        ("triton", T4, "fp16", "its server's model"),
    ],
)
def test_what_a_device_cannot_do_is_refused_with_the_reason(
    backend: str, device: Device, precision: str, fragment: str
) -> None:
    assert fragment in way(backend, device, precision).refused


@pytest.mark.parametrize(
    ("backend", "device", "precision", "form", "options"),
    [
        ("onnxruntime", X86, "int8", "int8-ort", {}),
        ("tensorrt", T4, "int8", "int8-trt", {"precision": "int8"}),
        ("tensorrt", H100, "tf32", None, {"tf32": True}),
        ("torch", H100, "fp32", None, {"tf32": False}),
        ("torch", H100, "bf16", None, {"precision": "bf16"}),
        ("onnxruntime", T4, "fp16", "fp16", {}),
        ("simulated", T4, "fp32", None, {}),
    ],
)
def test_how_a_precision_is_asked_for(
    backend: str, device: Device, precision: str, form: str | None, options: Mapping[str, object]
) -> None:
    found = way(backend, device, precision)

    assert (found.form, dict(found.options), found.refused) == (form, options, "")


@pytest.mark.parametrize(
    ("device", "backend", "precision", "fragment"),
    [
        (X86, "onnxruntime", "fp16", "computes in fp32"),
        (replace(X86, features=frozenset({"avx2"})), "onnxruntime", "int8", "VNNI"),
        (X86, "torch", "bf16", "no bfloat16 instructions"),
        (NANO, "onnxruntime", "fp16", "without tensor cores"),
    ],
)
def test_what_a_device_does_in_another_way_is_said_before(
    device: Device, backend: str, precision: str, fragment: str
) -> None:
    assert fragment in way(backend, device, precision).label


def test_what_has_tensor_cores_or_instructions_needs_no_label() -> None:
    assert way("tensorrt", T4, "int8").label == way("onnxruntime", X86, "int8").label == ""


@pytest.mark.parametrize(("asked", "fragment"), [(["fp61"], "fp16"), (["fp32"] * 2, "different")])
def test_a_wrong_list_of_precisions_is_refused(asked: list[str], fragment: str) -> None:
    with pytest.raises(ConfigError, match=fragment):
        check_precisions(asked)


def test_devices_are_chosen_by_name_and_a_strange_one_stays_without_facts() -> None:
    assert chosen(None, [X86, T4]) == [X86, T4]
    assert chosen(["0", "9"], [X86, T4]) == [T4, Device("9", "")]
    with pytest.raises(ConfigError, match="different names"):
        chosen(["0", "0"], [T4])


# --- accuracy


def test_the_interval_of_a_difference_holds_what_is_true() -> None:
    """Enumerate all outcomes of 30 samples; the true difference is 0.1 against the model."""
    n, truth = 30, (0.7, 0.05, 0.15, 0.1)
    covered = 0.0
    for both in range(n + 1):
        for model in range(n + 1 - both):
            for reference in range(n + 1 - both - model):
                none = n - both - model - reference
                counts = (both, model, reference, none)
                ways = math.factorial(n) / math.prod(map(math.factorial, counts))
                chance = ways * math.prod(p**k for p, k in zip(truth, counts, strict=True))
                if chance > 1e-7:
                    low, high = paired_interval(*counts)
                    covered += chance * (low <= truth[1] - truth[2] <= high)

    assert 0.93 < covered < 0.99


def test_a_paired_difference_is_known_better_than_two_accuracies() -> None:
    low, high = paired_interval(900, 5, 5, 90)

    assert low == pytest.approx(-high)
    assert high < 0.01  # Wilson's interval of 905 of 1,000 has 0.018 on either side


def test_the_difference_of_answers_is_of_the_same_samples() -> None:
    labels = [0, 1, 2, 3]
    found = delta(JUDGE, {0: 0, 1: 1, 2: 9}, {0: 0, 1: 9, 2: 9}, labels)

    assert found.value == pytest.approx(1 / 3)
    assert found.interval_95 is not None


def test_a_metric_of_all_samples_together_has_an_interval_by_leaving_some_out() -> None:
    judge = replace(JUDGE, score=lambda answers, labels: replace(
        JUDGE.score(answers, labels), good=None))  # fmt: skip
    labels = [0] * 60
    found = delta(judge, {k: int(k < 6) for k in range(60)}, dict.fromkeys(range(60), 0), labels)

    assert found.value == pytest.approx(-0.1)
    assert found.interval_95 is not None
    low, high = found.interval_95
    assert low < -0.1 < high < 0.0
    assert delta(judge, {0: 0}, {0: 0}, labels).interval_95 is None


# --- roofline

COST = GraphCost(8, 5 * 10**11, 0, 10**8, 10**9, 2 * 10**9, 60, {"Conv": 5 * 10**11})
ROOF = Roof(100 * TERA, 500e9, "a datasheet")  # the ridge is at 200 operations a byte


def test_figures_of_the_roofline() -> None:
    found = achieved(COST, 0.02, ROOF)

    assert found["flops_per_s"] == 50 * TERA
    assert found["bytes_per_s"] == 50e9
    assert found["intensity"] == 1_000
    assert found["roof_share"] == pytest.approx(0.5)
    assert "roof_share" not in achieved(COST, 0.02, None)


@pytest.mark.parametrize(
    ("cost", "enqueue_s", "fixed_s", "roof", "bound"),
    [
        (COST, 0.0, None, ROOF, "compute"),
        (replace(COST, bytes=10**10), 0.0, None, ROOF, "memory"),
        (COST, 0.017, None, ROOF, "launch"),
        (COST, 0.0, 0.011, ROOF, "launch"),
        (COST, 0.0, 0.009, ROOF, "compute"),
        # Half of the time is there without samples, but the weights are read in it.
        (replace(COST, weight_bytes=4 * 10**9), 0.0, 0.011, ROOF, "compute"),
        (COST, 0.0, None, None, ""),
        (COST, 0.0, None, replace(ROOF, flops_per_s=None), ""),
        (COST, 0.017, None, None, "launch"),
    ],
)
def test_what_bounds_a_batch(
    cost: GraphCost, enqueue_s: float, fixed_s: float | None, roof: Roof | None, bound: str
) -> None:
    found, why = bound_by(cost, 0.02, enqueue_s, fixed_s, roof)

    assert found == bound
    assert why


def test_the_fixed_part_is_what_no_sample_adds() -> None:
    assert fixed_part_s({1: 3.0, 8: 10.0, 32: 34.0}) == pytest.approx(2.0)
    assert fixed_part_s({1: 1.0, 2: 2.1, 4: 4.4}) == 0.0
    assert fixed_part_s({8: 1.0}) is None
