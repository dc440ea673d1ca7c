"""A run of the queue model that ends early says what the whole run says."""

from __future__ import annotations

from itertools import product

import pytest

from backends.simulated.curve import formula
from backends.simulated.jitter import Jitter
from sut.serve.batcher import BatcherSettings
from sut.serve.queue_device import Device
from sut.serve.queue_limits import Limit
from sut.serve.queue_model import QueueSetting, simulate, simulate_within

MS = 1_000_000
# 22,000 samples/s.
DEVICES = (Device(formula(0.31, 0.1782), jitter=Jitter("lognormal", 0.1)),) * 4
SAMPLES = 3_000


def setting(qps: float, delay_ns: int | None = 2 * MS) -> QueueSetting:
    return QueueSetting(DEVICES, BatcherSettings(26, delay_ns), qps=qps, samples=SAMPLES, seed=1)


@pytest.mark.parametrize("delay_ns", [0, 2 * MS, None])
def test_the_verdict_is_that_of_the_whole_run(delay_ns: int | None) -> None:
    verdicts = set()
    for qps, share in product((15_000, 20_000, 22_000, 30_000), (0.5, 0.9, 0.99, 0.999)):
        made = setting(qps, delay_ns)
        whole = simulate(made)
        reached_ns = whole.percentile_ns(share)
        for limit_ns in (reached_ns - 1, reached_ns - 0.5, reached_ns, 0.5 * reached_ns):
            fits = simulate_within(made, [Limit.of(share, SAMPLES, limit_ns)]) is not None
            assert fits == (reached_ns <= limit_ns), (qps, share, limit_ns)
            verdicts.add(fits)

    assert verdicts == {True, False}


def test_one_of_several_limits_is_enough() -> None:
    loose, tight = Limit.of(0.99, SAMPLES, 1e12), Limit.of(0.5, SAMPLES, 1.0)

    assert simulate_within(setting(20_000), [loose, tight]) is None
    assert simulate_within(setting(20_000), [loose, loose]) is not None


def test_a_run_within_its_limits_has_the_result_of_any_other() -> None:
    made = setting(20_000)

    result = simulate_within(made, [Limit.of(0.99, SAMPLES, 1e12)])

    assert result is not None
    assert result.latency_ns == simulate(made).latency_ns
