"""The simulated backend: the contract, its curves, and a device's time on an absolute timeline."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import AsyncEngine, EngineSpec, TensorSpec, open_engine
from backends.simulated.curve import Curve, formula, from_file, shipped_curves, table
from backends.simulated.engine import SimulatedEngine
from backends.simulated.jitter import BLOCK, Distribution, Jitter
from backends.simulated.timeline import Timeline
from sut.base.errors import ConfigError, EngineError
from tests.backends.conformance import SeveralInputsTestCase, SlotsTestCase, SpawnTestCase
from tests.backends.models import THREE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backends.base import Array, Arrays, OptionValue

MS = 1_000_000
SAMPLES = 8
SPEC = EngineSpec(
    "simulated", None, (TensorSpec("image", (2, 3), "float32"),), None, 5, "0", {"base_ms": 0.05}
)


def opened(device: str = "0", **options: OptionValue) -> SimulatedEngine:
    """Open a device with `options`; `slow_at_1` stands for `slow@1`."""
    named = {name.replace("_at_1", "@1"): value for name, value in options.items()}
    engine = open_engine(replace(SPEC, device=device, options=named))
    assert isinstance(engine, SimulatedEngine)
    engine.bind({"image": np.ones((SAMPLES, 2, 3), np.float32)})
    return engine


def device_times_ns(engine: SimulatedEngine, sizes: Sequence[int]) -> list[int]:
    """Run batches of these sizes; return how long the device took for each."""
    times = []
    for size in sizes:
        engine.launch(0, range(size))
        _, (started_ns, finished_ns) = engine.wait(0)
        times.append(finished_ns - started_ns)
    return times


class Zeros(SlotsTestCase):
    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return (np.zeros((len(next(iter(samples.values()))), 1), np.float32),)


class TestSimulatedContract(Zeros, SpawnTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return SPEC


class TestThreeInputsContract(Zeros, SeveralInputsTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return replace(SPEC, inputs=THREE)


# What it says of itself


def test_the_engine_is_asynchronous() -> None:
    assert isinstance(opened(base_ms=0.1), AsyncEngine)
    assert opened(base_ms=0.1, slots=3).slots == 3


def test_the_facts_say_that_results_are_simulated_and_of_which_curve() -> None:
    facts = opened(curve="resnet50-t4").facts

    assert facts["simulated"] is True
    assert facts["synthetic_results"] is True
    assert facts["precision"] == "simulated"
    assert "R740_T4x4_tensorrt" in str(facts["curve"])


# Time of a batch


def test_a_batch_takes_what_the_curve_says() -> None:
    engine = opened(base_ms=1.0, per_sample_ms=0.5)

    started_ns = time.monotonic_ns()
    engine.infer(range(4))

    assert time.monotonic_ns() - started_ns >= 3 * MS
    assert device_times_ns(engine, [1, 4]) == [1.5 * MS, 3 * MS]


def test_a_batch_starts_when_the_one_before_has_finished() -> None:
    engine = opened(base_ms=2.0)

    for slot in range(4):
        engine.launch(slot, [0])
    times = [engine.wait(slot)[1] for slot in range(4)]

    assert [started for started, _ in times[1:]] == [finished for _, finished in times[:-1]]
    assert all(finished - started == 2 * MS for started, finished in times)


def test_a_late_wait_delays_no_batch() -> None:
    engine = opened(base_ms=1.0)
    for slot in range(3):
        engine.launch(slot, [0])

    engine.wait(0)
    until_ns = time.monotonic_ns() + 4 * MS
    while time.monotonic_ns() < until_ns:
        pass
    late_ns = time.monotonic_ns()
    times = [engine.wait(slot)[1] for slot in (1, 2)]

    assert times[0][1] == times[1][0]
    assert times[1][1] < late_ns


def test_launch_returns_at_once() -> None:
    engine = opened(base_ms=2_000.0)

    started_ns = time.monotonic_ns()
    engine.launch(0, range(5))

    assert time.monotonic_ns() - started_ns < 1_000 * MS


def test_one_thread_may_launch_while_another_waits() -> None:
    engine = opened(base_ms=0.2, slots=4)
    free = threading.Semaphore(engine.slots)
    launched = threading.Semaphore(0)
    times: list[tuple[int, int]] = []

    def complete() -> None:
        for number in range(100):
            launched.acquire()
            (answer,), span = engine.wait(number % engine.slots)
            assert answer.shape == (1 + number % 5, 1)
            times.append(span)
            free.release()

    completing = threading.Thread(target=complete)
    completing.start()
    for number in range(100):
        free.acquire()
        engine.launch(number % engine.slots, range(1 + number % 5))
        launched.release()
    completing.join()

    assert len(times) == 100
    assert all(before[1] <= after[0] for before, after in pairwise(times))
    assert all(finished - started == 0.2 * MS for started, finished in times)


def test_spinning_ends_a_batch_no_earlier() -> None:
    engine = opened(base_ms=1.0, spin_us=500.0)

    engine.launch(0, [0])
    _, (_, finished_ns) = engine.wait(0)

    assert finished_ns <= time.monotonic_ns()


# Slots


@pytest.mark.parametrize("slot", [-1, 2])
def test_a_slot_that_does_not_exist_is_refused(slot: int) -> None:
    engine = opened(base_ms=0.1, slots=2)

    with pytest.raises(EngineError, match=f"slot {slot} .*slots are 0 to 1"):
        engine.launch(slot, [0])
    with pytest.raises(EngineError, match=f"slot {slot}"):
        engine.wait(slot)


def test_a_slot_holds_one_batch_until_it_was_waited_for() -> None:
    engine = opened(base_ms=0.1)
    engine.launch(1, [0])

    with pytest.raises(EngineError, match="slot 1 is not free"):
        engine.launch(1, [0])
    engine.wait(1)
    with pytest.raises(EngineError, match=r"slot 1"):
        engine.wait(1)
    engine.launch(1, [0])


# Failures


def test_a_device_fails_when_asked_to() -> None:
    engine = opened(device="3", base_ms=20.0, fail_at_s=0.03)
    engine.infer([0])

    with pytest.raises(RuntimeError, match=r"device 3: .*0\.03 s"):
        engine.infer([0])
    with pytest.raises(RuntimeError, match="asked to fail"):
        engine.launch(0, [0])


def test_bind_begins_anew_so_that_warm_up_does_not_count() -> None:
    engine = opened(base_ms=4.0, fail_at_s=0.001)
    with pytest.raises(RuntimeError, match="asked to fail"):
        engine.infer([0])

    engine.bind({"image": np.ones((SAMPLES, 2, 3), np.float32)})

    engine.launch(0, [0])
    with pytest.raises(RuntimeError, match="asked to fail"):
        engine.wait(0)


def test_a_device_that_hangs_answers_nothing_until_closed() -> None:
    engine = opened(base_ms=1.0, hang_at_s=0.0)
    engine.launch(0, [0])
    answers: list[object] = []
    errors: list[str] = []

    def wait() -> None:
        try:
            answers.append(engine.wait(0))
        except EngineError as error:
            errors.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.02)

    assert waiting.is_alive()
    engine.close()
    waiting.join()
    assert answers == []
    assert "closed" in errors[0]


def test_options_may_be_given_for_one_device() -> None:
    options: dict[str, OptionValue] = {"base_ms": 1.0, "slow_at_1": 3.0}

    assert device_times_ns(opened("0", **options), [1]) == [1 * MS]
    assert device_times_ns(opened("1", **options), [1]) == [3 * MS]


# Jitter


def test_the_times_of_a_device_are_those_of_its_seed_and_name() -> None:
    jitter: dict[str, OptionValue] = {"base_ms": 0.02, "jitter": "gamma", "jitter_spread": 0.3}
    sizes = [1] * 20

    first = opened("0", **jitter)
    times = device_times_ns(first, sizes)

    assert len(set(times)) > 10
    assert device_times_ns(opened("0", **jitter), sizes) == times
    assert device_times_ns(opened("1", **jitter), sizes) != times
    assert device_times_ns(opened("0", seed=1, **jitter), sizes) != times
    first.bind({"image": np.ones((SAMPLES, 2, 3), np.float32)})
    assert device_times_ns(first, sizes) == times


@pytest.mark.parametrize("distribution", ["normal", "lognormal", "gamma"])
def test_a_distribution_keeps_the_mean_and_has_the_spread(distribution: Distribution) -> None:
    factors = np.array(list(islice(Jitter(distribution, 0.2).factors(7), 40 * BLOCK)))

    assert factors.mean() == pytest.approx(1.0, abs=0.01)
    assert factors.std() == pytest.approx(0.2, rel=0.03)
    assert factors.min() >= 0.0


def test_outliers_are_the_share_and_the_factor_that_was_asked_for() -> None:
    factors = list(islice(Jitter(outlier_share=0.1, outlier_factor=4.0).factors(7), 40 * BLOCK))

    assert set(factors) == {1.0, 4.0}
    assert factors.count(4.0) / len(factors) == pytest.approx(0.1, rel=0.05)


def test_a_jitter_without_effect_says_so() -> None:
    assert not Jitter().acts
    assert not Jitter("gamma", 0.0).acts
    assert not Jitter(outlier_share=0.1, outlier_factor=1.0).acts
    assert Jitter("normal", 0.1).acts


# The timeline


def test_copies_overlap_the_batches_of_other_slots() -> None:
    timeline = Timeline([0.0, 10.0], copy_in_ns=4.0, copy_out_ns=3.0)

    assert [timeline.submit(0, 1) for _ in range(3)] == [(4, 14, 17), (14, 24, 27), (24, 34, 37)]


def test_the_slowest_stage_sets_the_pace() -> None:
    timeline = Timeline([0.0, 10.0], copy_in_ns=20.0)

    assert [timeline.submit(0, 1).finished_ns for _ in range(3)] == [30, 50, 70]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 4)), min_size=1, max_size=30),
    st.sampled_from([0.0, 3.0, 40.0]),
)
def test_a_device_does_one_thing_at_a_time(batches: list[tuple[int, int]], copy_ns: float) -> None:
    timeline = Timeline([0.0, 5.0, 9.0, 12.0, 14.0], None, copy_ns, copy_ns)
    now_ns = 0
    before = (0, 0, 0)

    for gap_ns, size in batches:
        now_ns += gap_ns
        times = timeline.submit(now_ns, size)
        assert times.started_ns >= max(now_ns + copy_ns * size, before[1])
        assert times.finished_ns > times.started_ns
        assert times.done_ns >= max(times.finished_ns, before[2]) + copy_ns * size
        before = times


# Curves


def test_a_formula_is_a_line() -> None:
    curve = formula(0.31, 0.1782)

    for batch in (1, 2, 26, 256):
        assert curve.service_ns(batch) == pytest.approx((0.31 + 0.1782 * batch) * MS)


def test_a_table_is_interpolated_and_goes_on_along_its_last_line() -> None:
    curve = table("4:2.0, 1:1.0, 8:6")

    assert [curve.service_ns(batch) / MS for batch in (1, 2, 4, 6, 8, 10)] == pytest.approx(
        [1.0, 4 / 3, 2.0, 4.0, 6.0, 8.0]
    )


def test_a_curve_that_falls_at_its_end_does_not_go_on_falling() -> None:
    curve = table("1:1.0,2:3.0,4:2.0")

    assert curve.service_ns(3) == 2.5 * MS
    assert curve.service_ns(100) == 2.0 * MS


def test_below_the_first_point_nothing_is_faster() -> None:
    assert table("4:2.0,8:3.0").service_ns(1) == 2.0 * MS
    assert table("4:2.0").service_ns(9) == 2.0 * MS


@pytest.mark.parametrize(
    ("name", "batch", "ms"),
    [
        ("resnet50-t4", 26, 4.94),
        ("resnet50-t4", 256, 45.93),
        ("mobilenet-t4", 32, 1.85),
        ("mobilenet-t4", 128, 128 / 71214.5 * 4e3),
        ("ssd-mobilenet-t4", 32, 4.43),
        ("ssd-mobilenet-t4", 128, 128 / 30407.9 * 4e3),
        ("ssd-resnet34-t4", 4, 30.7),
        ("ssd-resnet34-t4", 12, 12 / 546.69 * 4e3),
    ],
)
def test_the_curves_of_the_t4_go_through_the_published_runs(
    name: str, batch: int, ms: float
) -> None:
    assert from_file(name).service_ns(batch) / MS == pytest.approx(ms, rel=1e-3)


SELECTED = {
    "tft-fp16": "gpu=T4,backend=tensorrt,dataset=traffic",
    "published": "system=v3.0-nvidia-1xl4,benchmark=resnet50",
}


def test_every_shipped_curve_says_where_it_is_from() -> None:
    for name in shipped_curves():
        where = SELECTED.get(name, "")
        assert "Source: " in from_file(name, where).provenance


def test_a_line_of_a_file_may_be_a_rate() -> None:
    curve = from_file("tft-fp16", "gpu=T4, backend=tensorrt, dataset=electricity")

    assert [point[0] for point in curve.points_ms] == [1 << power for power in range(11)]
    assert curve.service_ns(1) / MS == pytest.approx(1e3 / 415, rel=0.01)


def test_a_file_of_the_user_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("# measured at home\nbatch,ms\n1,2.0\n4,5.0\n")

    assert from_file(str(path)) == Curve(((1, 2.0), (4, 5.0)), f"{path}: measured at home")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "BATCH:MS"),
        ("1:x", '"x" is not a number'),
        ("1.5:2", r"batch 1\.5 is not a size"),
        ("0:2", "batch 0 is not a size"),
        ("1:0", r"S\(1\) is 0 ms"),
        ("1:1,1:2", "batch 1 has two times"),
        ("1:inf", '"inf" is not a number'),
    ],
)
def test_a_table_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        table(text)


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("", "", "no points"),
        ("batch,ms\n", "", "no points"),
        ("size,ms\n1,2\n", "", '"" is not a number'),
        ("batch,us\n1,2\n", "", '"" is not a number'),
        ("batch,inferences_per_second\n1,0\n", "", r"S\(1\) is inf ms"),
        ("batch,ms\n1,2\n", "gpu=T4", "COLUMN=VALUE"),
        ("batch,ms,gpu\n1,2,T4\n", "gpu", '"gpu" selects nothing'),
        ("batch,ms,gpu\n1,2,T4\n", "gpu=T5", r"gpu=T5.*T4"),
        ("batch,ms,gpu\n1,2,T4\n1,3,A2\n", "", "Select one"),
    ],
)
def test_a_file_without_a_curve_is_refused(
    text: str, where: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "curve.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        from_file(str(path), where)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        from_file(str(tmp_path / "none.csv"))


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "0 curves"),
        ({"base_ms": 1.0, "table": "1:1"}, "2 curves are given"),
        ({"base_ms": 0.0}, r"S\(1\) is 0 ms"),
        ({"curve": "resnet-t4"}, '"resnet-t4".*"resnet50-t4"'),
        ({"base_ms": 1.0, "jitter": "gama"}, '"gamma"'),
        ({"base_ms": 1.0, "slow_at_1": 0}, 'device 1: option "slow" is 0'),
        ({"base_ms": 1.0, "slwo_at_1": 2.0}, '"slwo".*"slow"'),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, OptionValue], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        opened("0", **options)


# The ladder


def test_a_device_with_graphs_takes_the_time_of_the_next_size_up() -> None:
    engine = opened(base_ms=1.0, per_sample_ms=0.1, graph_sizes="2")

    assert engine.sizes == (2, engine.max_batch_size)
    one, three = device_times_ns(engine, [1, 3])
    assert one == int(1.2e6)
    assert three == pytest.approx((1 + 0.1 * engine.max_batch_size) * 1e6, abs=1)


# The tail


def test_one_batch_in_so_many_takes_the_published_percentile_and_the_mean_stays() -> None:
    where = "gpu=A30,backend=torchscript,dataset=electricity"
    curve = from_file("tft-fp16", where)
    engine = opened(curve="tft-fp16", curve_where=where, tail_every=4)

    times = device_times_ns(engine, [2] * 8)

    assert times.count(int(curve.tail_ns(2))) == 2
    assert sum(times) / len(times) == pytest.approx(curve.service_ns(2), rel=1e-6)


def test_a_tail_needs_a_curve_that_has_one() -> None:
    with pytest.raises(ConfigError, match="p99_latency_ms"):
        opened(base_ms=1.0, tail_every=20)


# --- one device for several engines


def test_engines_that_share_a_file_are_one_device_and_take_turns(tmp_path: Path) -> None:
    first, second = (opened(base_ms=5.0, shared=str(tmp_path / "device")) for _ in range(2))

    first.launch(0, [0])
    second.launch(0, [0])
    first.launch(1, [0])
    times = [first.wait(0)[1], second.wait(0)[1], first.wait(1)[1]]

    assert [finished - started for started, finished in times] == [5 * MS] * 3
    assert [before[1] for before in times[:2]] == [after[0] for after in times[1:]]


def test_engines_without_a_file_are_devices_of_their_own() -> None:
    first, second = (opened(base_ms=5.0) for _ in range(2))

    first.launch(0, [0])
    second.launch(0, [0])

    assert second.wait(0)[1][0] < first.wait(0)[1][1]


def test_a_shared_file_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"shared=.*absent.*: No such file"):
        opened(base_ms=1.0, shared=str(tmp_path / "absent" / "device"))
