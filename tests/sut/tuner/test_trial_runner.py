"""What a trial runs, and when a run is hopeless."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.record.trace import BATCH_FIELDS, TraceReader, TraceWriter
from sut.tuner.job import Candidate, Variant
from sut.tuner.messages import Trial
from sut.tuner.trial_runner import Hopeless, plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.tuner.messages import Purpose

MS = 1_000_000
VARIANT = Variant(2, (("graphs", False), ("threads", 4)))
CANDIDATE = Candidate(40, 3_750, 4, "thread", VARIANT, (("3", 20),))


@pytest.fixture
def plan() -> Plan:
    return resolve(Arguments("resnet50", "Server", system="r740_4xt4"))


def trial(purpose: Purpose, qps: float | None = 20_000.0) -> Trial:
    return Trial(purpose, CANDIDATE, 7.5, qps)


def test_a_candidate_becomes_the_harness_of_its_run(plan: Plan) -> None:
    made = plan_of(trial("confirm"), plan)

    harness = made.harness
    assert (harness.max_batch_size, harness.max_queue_delay_us, harness.slots) == (40, 3_750, 4)
    assert (harness.workers, harness.instances) == ("thread", 2)
    assert harness.device_max_batch_size == {"3": 20}
    assert made.settings["slots"].source == "sut tune"
    assert made.settings["backend"] == plan.settings["backend"]


def test_a_candidate_is_kept_as_settings_of_a_system() -> None:
    kept = CANDIDATE.harness()

    assert (kept.max_batch_size, kept.max_queue_delay_us, kept.slots) == (40, 3_750, 4)
    assert (kept.workers, kept.instances) == ("thread", 2)
    assert kept.device_max_batch_size == {"3": 20}
    assert kept.backend_options == {"graphs": False, "threads": 4}


def test_options_of_a_variant_keep_their_type(plan: Plan) -> None:
    options = plan_of(trial("confirm"), plan).harness.backend_options

    assert options == {"curve": "resnet50-t4", "graphs": False, "threads": 4}
    assert options["graphs"] is False


def test_a_run_has_the_length_and_the_rate_of_its_trial(plan: Plan) -> None:
    load = plan_of(trial("confirm"), plan).arguments.load

    assert (load.min_duration_s, load.target_qps, load.min_query_count) == (7.5, 20_000.0, None)


def test_a_probe_is_as_short_as_it_says_and_not_as_long_as_early_stopping_asks(plan: Plan) -> None:
    assert plan_of(trial("probe"), plan).arguments.load.min_query_count == 100


def test_a_run_whose_batches_are_all_late_for_two_seconds_is_hopeless(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "trace", batches=10, queries=1)
    reader = TraceReader(tmp_path / "trace", batches=10, queries=1)
    numbers = itertools.count()
    now_s = [0.0]
    hopeless = Hopeless(30 * MS, lambda: now_s[0])

    def look(*latencies_ms: int) -> str | None:
        for latency_ms in latencies_ms:
            number = next(numbers)
            times_ns = dict.fromkeys(BATCH_FIELDS, 1) | {"completed_ns": 1 + latency_ms * MS}
            writer.batch(number, *times_ns.values())
        return hopeless(reader)

    assert look(50, 20) is None
    assert look(50, 40) is None
    now_s[0] = 2.5
    assert "the queue grew" in str(look(50))
    assert look(50, 10) is None
