"""The committed library is what its generator makes of the published pairs, and works by name."""

from __future__ import annotations

import pytest

from backends.simulated.curve import Curve
from sut.base.errors import ConfigError
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.system import published_names, system_folder
from sut.tuner.kinds import simulated_kinds
from sut.tuner.learnt import Learnt
from tests.published import files
from tests.published.fit import FIT, Fit, model_of
from tests.published.pairs import Pair, pairs

MS = 1e6


def find(system: str) -> Pair:
    return next(pair for pair in pairs() if pair.system == system)


def test_the_folders_are_those_that_the_script_writes() -> None:
    made = files.folder_files(pairs())
    committed = {path for path in files.FOLDER.rglob("*") if path.is_file()}

    assert committed == set(made)
    assert [path for path, text in made.items() if path.read_text() != text] == []


def test_every_pair_has_one_curve_and_the_file_is_what_the_script_writes() -> None:
    curves = files.read_curves()
    fits = {key: Fit(curve.provenance, curve.points_ms) for key, curve in curves.items()}

    assert set(curves) == {(pair.system, pair.benchmark) for pair in pairs()}
    assert files.curves_text(fits) == files.CURVES.read_text()


def test_a_line_goes_through_offline_and_is_the_slowest_that_keeps_the_p99() -> None:
    pair = find("v2.1-azure-2xa10")
    (first, last) = files.read_curves()[pair.system, pair.benchmark].points_ms

    def p99_ms(first_ms: float) -> float:
        curve = Curve(((1, first_ms), last), "")
        model = model_of(pair, curve, [pair.batch, last[0]])
        return model.percentile_ns(pair.candidate, pair.qps, Learnt(), FIT) / MS

    assert last[0] / last[1] * 1e3 == pytest.approx(pair.offline_qps, rel=1e-3)
    assert p99_ms(first[1]) <= pair.p99_ms < p99_ms(1.1 * first[1])


def test_a_system_is_named_with_its_folder_and_its_result_says_that_it_is_a_fit() -> None:
    name = "published/v4.1-dell-8xh200-sxm"
    plan = resolve(Arguments(benchmark="resnet50", scenario="Server", system=name))
    (kind,) = simulated_kinds(plan)

    assert name in published_names()
    assert (kind.name, len(plan.harness.devices)) == (name, 8)
    assert (plan.harness.max_batch_size, plan.harness.max_queue_delay_us) == (256, 3000)
    assert "not a measurement" in kind.origin.replace("\n", " ")


def test_a_misspelt_system_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"published/v4\.1-dell-8xh200-sxm"):
        system_folder("published/v4.1-dell-8xh200-sxn")
