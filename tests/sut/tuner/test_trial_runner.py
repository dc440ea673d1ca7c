"""What a trial runs, and what disturbs a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scenarios.base import Load
from sut.config.arguments import Arguments
from sut.config.harness import Setting
from sut.config.plan import resolve
from sut.run.config_file import loadgen_section
from sut.serve.service_times import Measured
from sut.serve.workers.keeper import Keeper
from sut.telemetry.neighbours import Quiet
from sut.tuner.job import Bound, Candidate, Job, Variant
from sut.tuner.messages import Measure, Trial
from sut.tuner.trial_runner import Place, TrialRunner, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.tuner.messages import Purpose

MS = 1_000_000
JOB = Job("Server", (Bound("p99", 15 * MS, 0.99),))
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


def test_config_yaml_names_who_decided_each_key_of_loadgen() -> None:
    typed = Arguments("resnet50", "Server", system="r740_4xt4", load=Load(target_latency_ms=20.0))
    written = {
        "target_qps": 20_000.0, "min_duration": 7_500, "min_query_count": 100, "target_latency": 20,
    }  # fmt: skip

    section = loadgen_section(plan_of(trial("probe"), resolve(typed)), {}, written)

    assert section == {
        "target_qps": {"value": 20_000.0, "source": "sut tune"},
        "min_duration": {"value": 7_500, "source": "sut tune"},
        "min_query_count": {"value": 100, "source": "sut tune"},
        "target_latency": {"value": 20, "source": "command line"},
    }


def test_a_rate_that_user_conf_has_too_is_still_the_tuners(plan: Plan) -> None:
    of_file = {"target_qps": Setting(20_000.0, "user.conf:1")}

    section = loadgen_section(plan_of(trial("confirm"), plan), of_file, {"target_qps": 20_000.0})

    assert section == {"target_qps": {"value": 20_000.0, "source": "sut tune"}}


def measured(plan: Plan, folder: Path, busy_s: Iterable[float], limit_s: float) -> Measured:
    """Measure S(b) while other processes keep the machine busy, by this count of seconds."""
    counts = iter(busy_s)
    quiet = Quiet(limit_s, lambda _: None, lambda: next(counts), look_s=0.01)
    with Keeper() as keeper:
        runner = TrialRunner(JOB, plan, Place(folder, "", quiet, keeper))
        reply = runner(Measure(Variant(), (1,)))
    assert isinstance(reply, Measured)
    return reply


@pytest.mark.slow
def test_batch_times_that_others_disturbed_are_measured_again(plan: Plan, tmp_path: Path) -> None:
    waits_then_measures = (0.0, 0.0, 0.0, 1e3)

    again = measured(plan, tmp_path, (*waits_then_measures, 1e3, 1e3, 1e3, 1e3), limit_s=5.0)

    assert again.notes == ()


@pytest.mark.slow
def test_batch_times_that_others_disturbed_say_so(plan: Plan, tmp_path: Path) -> None:
    found = measured(plan, tmp_path, (0.0, 1e3), limit_s=0.0)

    (note,) = found.notes
    assert "other processes used" in note


@pytest.mark.slow
def test_batch_times_of_a_quiet_machine_have_no_note(plan: Plan, tmp_path: Path) -> None:
    assert measured(plan, tmp_path, (0.0, 0.0), limit_s=0.0).notes == ()


def test_a_probe_is_as_short_as_it_says_and_not_as_long_as_early_stopping_asks(plan: Plan) -> None:
    assert plan_of(trial("probe"), plan).arguments.load.min_query_count == 100
