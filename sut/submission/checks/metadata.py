"""Checks of what people write: the system's description, measurements.json, README."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sut.base.errors import DataError
from sut.record.run_folder import USER_CONF_FILE
from sut.submission import system as system_json
from sut.submission.checks.network import check_network_system
from sut.submission.checks.result import measurements_file
from sut.submission.layout import README_FILE
from sut.submission.measurements import NEEDED, NOT_STATED

if TYPE_CHECKING:
    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result
    from sut.submission.layout import Submitter

_ECC_OFF = re.compile(
    r"ecc\W{0,3}(?:is\W)?(?:off|disabled|false|no\b)|(?:no|non|without)[ -]ecc", re.IGNORECASE
)
_ECC_FIELDS = (
    "accelerator_memory_configuration",
    "host_memory_configuration",
    "accelerator_memory_capacity",
    "hw_notes",
    "sw_notes",
)


def check_system(submitter: Submitter, name: str, findings: Findings) -> None:
    """Check systems/NAME.json."""
    path = submitter.system(name)
    try:
        system = system_json.read(path)
    except DataError as error:
        why = str(error).removeprefix(str(path)).strip(": .")
        findings.error(
            "system-missing",
            path,
            why,
            "Run `sut doctor --system-json > FILE`, and fill in the blank fields",
        )
        return
    for problem in system_json.problems(system):
        findings.error("system-field", path, problem, "Correct it")
    for field in system_json.blanks(system):
        findings.error("system-blank", path, f'field "{field}" is empty', "Fill it in")
    for field, expected in (("submitter", submitter.name), ("division", submitter.division)):
        found = str(system.get(field, ""))
        if found.lower() != expected.lower():
            findings.error(
                "system-folder",
                path,
                f'{field} is "{found}", and the folder "{expected}"',
                "Correct one of them",
            )
    check_network_system(submitter, system, path, findings)
    for field in _ECC_FIELDS:
        text = str(system.get(field, ""))
        if _ECC_OFF.search(text):
            findings.error(
                "ecc-off",
                path,
                f'{field} says "{text}"',
                "Switch ECC on and run again; the rules require it",
            )


def check_measurements(result: Result, findings: Findings) -> None:
    """Check measurements.json of a result, and that user.conf and README.md are there."""
    place = result.place
    path = measurements_file(place)
    if not result.measured:
        findings.error(
            "measurements-missing",
            path,
            "there is no such JSON object",
            "Write it",
        )
    for field in NEEDED if result.measured else ():
        if not result.measured.get(field):
            findings.error(
                "measurements-field",
                path,
                f'field "{field}" is empty',
                "Fill it in",
            )
        elif result.measured[field] == NOT_STATED:
            findings.warn(
                "measurements-field",
                path,
                f'field "{field}" is not stated',
                "Fill it in",
            )
    for name in (README_FILE, USER_CONF_FILE):
        path = place.measurements / name
        if not path.is_file() or not path.stat().st_size:
            findings.error("file-missing", path, "it is missing or empty", "Write it")
    _check_real(result, findings)
    _check_tests(result, findings)


def _check_real(result: Result, findings: Findings) -> None:
    """Refuse results that no engine computed."""
    path, measured = measurements_file(result.place), result.measured
    for key, what in (
        ("simulated", "it was measured without a real engine"),
        ("synthetic_data", "it was measured with synthetic data"),
        ("stand_in", f"it is a stand-in: {measured.get('stand_in')}"),
        ("fast", "it was made with --fast, which only proves the layout"),
    ):
        if measured.get(key):
            code = "simulated" if key in {"simulated", "stand_in"} else key.replace("_", "-")
            findings.error(code, path, what, "Do not submit it; run it on a real system")


def _check_tests(result: Result, findings: Findings) -> None:
    """Compare the settings that measurements.json states for each test."""
    tests = result.measured.get("tests")
    if not isinstance(tests, dict):
        return
    first = tests.get("performance")
    for name, settings in tests.items():
        if settings != first:
            findings.error(
                "settings-differ",
                measurements_file(result.place),
                f"the settings of {name} differ from those of performance",
                "Run both with the same settings",
            )
