"""What a run says of its devices at its end: one line each, and none for a good one."""

from __future__ import annotations

import msgspec
import pytest

from sut.record.device_telemetry import Figures, Span
from sut.telemetry import reasons
from sut.telemetry.findings import findings
from sut.telemetry.meter import Facts, Link, Process

GIB = 1 << 30
GOOD = Facts(
    "0", "nvml", "Tesla T4", ecc=True, link=Link(1, 3, 16, 16), slowdown_c=93, power_limit_w=70.0
)
BUSY = Figures(
    100,
    throttled={},
    temperature_c=Span(60, 65, 70),
    sm_clock_mhz=Span(585, 1000, 1590),
    link_generation=3,
    link_width=16,
)


def test_a_good_run_says_nothing() -> None:
    assert findings(GOOD, BUSY, []) == []


def test_a_device_that_tells_nothing_is_not_accused() -> None:
    assert findings(Facts("0", "rapl", "CPU package-0"), Figures(100), []) == []


def test_throttling_names_reason_share_limit_clock_and_remedy() -> None:
    (line,) = findings(GOOD, with_(throttled={"SwPowerCap": 0.34}), [])

    assert line.startswith("Device 0 ")
    for figure in ("SwPowerCap", "70 W", "34%", "585 to 1590 MHz"):
        assert figure in line
    assert "nvidia-smi -pl" in line


@pytest.mark.parametrize("reason", reasons.THROTTLING, ids=lambda reason: reason.name)
def test_every_reason_has_a_remedy(reason: reasons.Reason) -> None:
    (line,) = findings(GOOD, with_(throttled={reason.name: 0.01}), [])

    assert reason.name in line
    assert line.endswith(reason.remedy)
    assert len(reason.remedy) > 20


def test_a_stranger_on_the_device_is_named() -> None:
    (line,) = findings(GOOD, BUSY, [Process(4242, "python3", 3 * GIB), Process(7, "Xorg")])

    assert "Device 0 " in line
    assert "4242 (python3, 3.0 GiB)" in line
    assert "7 (Xorg)" in line


def test_a_link_that_stays_narrow_under_load_is_named() -> None:
    (line,) = findings(GOOD, with_(link_width=8), [])

    assert "generation 3 x8" in line


def test_a_link_that_stays_slow_under_load_is_named() -> None:
    (line,) = findings(GOOD, with_(link_generation=1), [])

    assert "generation 1 x16" in line


def test_ecc_that_is_off_is_named_with_how_to_turn_it_on() -> None:
    facts = Facts("3", "nvml", "Tesla T4", ecc=False)

    (line,) = findings(facts, BUSY, [])

    assert line.startswith("Device 3: ECC is off")
    assert "nvidia-smi -e 1" in line


@pytest.mark.parametrize(("most", "named"), [(87, False), (88, True)])
def test_a_device_near_the_heat_that_slows_it_down_is_named(most: int, named: bool) -> None:
    lines = findings(GOOD, with_(temperature_c=Span(60, 70, most)), [])

    assert [f"{most} C" in line and "93 C" in line for line in lines] == [True] * named


@pytest.mark.parametrize(("most", "named"), [(84, False), (85, True)])
def test_a_device_that_names_no_such_heat_has_a_fixed_one(most: int, named: bool) -> None:
    facts = Facts("0", "nvml", "some GPU")

    assert bool(findings(facts, with_(temperature_c=Span(60, 70, most)), [])) == named


def test_without_a_test_only_what_holds_for_the_device_is_said() -> None:
    (line,) = findings(Facts("0", "nvml", "T4", ecc=False, link=Link(1, 3, 8, 16)), None, [])

    assert "ECC is off" in line


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0, "none"),
        (0x1, "GpuIdle"),
        (0x44, "SwPowerCap+HwThermalSlowdown"),
        (1 << 40, "0x10000000000"),
    ],
)
def test_reasons_are_named_and_unknown_ones_kept_as_bits(bits: int, text: str) -> None:
    assert reasons.words(bits) == text


def with_(**values: object) -> Figures:
    return msgspec.structs.replace(BUSY, **values)
