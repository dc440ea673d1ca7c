"""Constraints as text: read, refused, and their slack."""

from __future__ import annotations

import pytest

from sut.base.errors import ConfigError
from sut.config.constraints import check, objective, parse


def test_constraints_have_units_and_may_share_one_text() -> None:
    p99, power, accuracy = parse(["p99<=15ms, power <= 70 W", "acc>=75.68%"])

    assert (p99.name, p99.at_most, p99.limit) == ("p99", True, 15e6)
    assert (power.name, power.limit) == ("power", 70)
    assert not accuracy.at_most
    assert accuracy.limit == pytest.approx(0.7568)


def test_slack_is_the_room_as_a_share_of_the_limit_and_below_zero_when_broken() -> None:
    p99, throughput = parse(["p99<=15ms", "throughput>=1000"])

    assert p99.slack(12e6) == pytest.approx(0.2)
    assert throughput.slack(1100.0) == pytest.approx(0.1)
    assert p99.slack(18e6) == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("p99<15ms", "is not a constraint"),
        ("p98<=15ms", 'no figure "p98"'),
        ("p99<=15W", 'no unit "W"'),
        ("p99<=1.2.3ms", '"1.2.3" is not a number'),
        ("fast", "is not a constraint"),
    ],
)
def test_a_text_that_is_none_is_refused_with_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        parse([text])


def test_what_nothing_measures_cannot_be_bounded() -> None:
    power = parse(["power<=70W", "p99<=15ms"])

    check(power, has_telemetry=True)
    with pytest.raises(ConfigError, match="nothing measures power"):
        check(power, has_telemetry=False)


def test_an_unknown_objective_names_the_nearest() -> None:
    assert objective("throughput") == "throughput"
    with pytest.raises(ConfigError, match='"throughput"'):
        objective("troughput")
