"""Runs the missing tests of a submission, and reads the finished ones.

Each test of a scenario has its own run folder: performance, accuracy, TEST01, TEST04.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from scenarios.base import Load
from sut.base.errors import ConfigError, DataError
from sut.base.files import held, make_folder
from sut.config import user_conf
from sut.config.arguments import Arguments
from sut.config.plan import Plan, resolve
from sut.record.run_folder import SUMMARY_FILE, USER_CONF_FILE, read_result
from sut.run.run import run
from sut.submission import conf
from sut.submission import system as system_json
from sut.submission.compliance import TESTS, audit_config
from sut.submission.order import WITHOUT_ENGINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scenarios.base import Number
    from sut.record.result import Result
    from sut.serve.workers.keeper import Keeper
    from sut.submission.order import Order

PERFORMANCE, ACCURACY = "performance", "accuracy"
SETTINGS_FILE = "settings.json"
AUDIT_FILE = "audit.config"


@dataclass(frozen=True, slots=True)
class Part:
    """One LoadGen test of a scenario.

    Attributes:
        name: performance, accuracy, TEST01 or TEST04.
        folder: its run folder.
        result: its summary.json.
    """

    name: str
    folder: Path
    result: Result


class ScenarioRuns:
    """The runs of one scenario. `say` is called with a line before each run."""

    def __init__(self, order: Order, scenario: str, say: Callable[[str], None]) -> None:
        self._order = order
        self._scenario = scenario
        self._say = say
        self.folder = order.folder(scenario)

    def parts(self) -> tuple[str, ...]:
        """Return the tests that this scenario needs."""
        return (PERFORMANCE, ACCURACY, *self._order.audits)

    def missing(self) -> list[str]:
        """Return the tests that are not done."""
        return [name for name in self.parts() if self.done(name) is None]

    def done(self, name: str) -> Part | None:
        """Return a finished test: complete and, except with --fast, valid."""
        folder = self.folder / name
        result = _result(folder)
        if result is None or result.interrupted:
            return None
        wanted = ACCURACY if name == ACCURACY else PERFORMANCE
        if result.mode != wanted or result.scenario != self._scenario:
            raise DataError(
                f"{folder}: holds a run of {result.scenario} in mode {result.mode}; expected "
                f"{self._scenario}, {wanted}. Remove it, or name another --work."
            )
        return Part(name, folder, result) if result.valid or self._order.fast else None

    def reasons(self, name: str) -> tuple[str, ...]:
        """Return why a complete test is not valid; empty if there is none."""
        result = _result(self.folder / name)
        return () if result is None else result.reasons

    def run_missing(self, keeper: Keeper, names: Sequence[str] | None = None) -> None:
        """Run the missing tests, performance first; the others use its settings.

        Args:
            keeper: keeps worker processes, with their engines, from test to test.
            names: only these; None: all that the scenario needs.

        Raises:
            ConfigError: the settings are not those of the earlier tests, or another command runs
                tests of the scenario in the same folder.
            SutError: a test failed.
        """
        wanted = self.parts() if names is None else names
        self.plan(None, PERFORMANCE)  # wrong settings leave nothing behind
        option = "--work" if self._order.division else "--out"
        make_folder(self.folder, option)
        with held(self.folder, option):
            self._run_missing(keeper, wanted)

    def _run_missing(self, keeper: Keeper, wanted: Sequence[str]) -> None:
        missing = [name for name in wanted if self.done(name) is None]
        self._check_settings()
        for name in missing:
            self._say(f"{self._scenario}: {name}")
            self._set_aside(name)
            part = self._run(name, keeper)
            if name == PERFORMANCE and not part.result.valid and not self._order.fast:
                return  # no use running what would be compared with it

    def plan(self, file: Path | None, part: str) -> Plan:
        """Resolve the settings of one test, with `file` in place of the user's user.conf.

        Raises:
            ConfigError: a setting is wrong, or the backend computes nothing.
        """
        order = self._order
        audit = self.folder / f"{part}.{AUDIT_FILE}" if part in TESTS else None
        plan = resolve(
            Arguments(
                benchmark=str(order.benchmark.file),
                scenario=self._scenario,
                mode="accuracy" if part == ACCURACY else "performance",
                system=str(order.system_folder),
                model=order.model,
                pixels=order.pixels,
                data=order.data,
                user_conf=file or order.user_conf,
                load=Load(min_duration_s=order.min_duration_s),
                audit_config=audit,
                cluster=order.cluster,
                network=order.network,
            )
        )
        if plan.harness.backend in WITHOUT_ENGINE and not order.stand_in:
            raise ConfigError(
                f"backend {plan.harness.backend} of system {order.system_name} computes nothing, "
                "so its results cannot be submitted. Use a system with a real engine."
            )
        if order.division is None:
            return plan
        return replace(plan, benchmark=conf.without_own_bound(plan.benchmark))

    def _run(self, name: str, keeper: Keeper) -> Part:
        folder = self.folder / name
        plan = self.plan(self._conf(name), name)
        if name in TESTS:
            text = audit_config(name, self._order.rules.audit_samples)
            (self.folder / f"{name}.{AUDIT_FILE}").write_text(text, encoding="utf-8")
        return Part(name, folder, run(plan, folder, self._order.command, keeper=keeper))

    def _conf(self, name: str) -> Path:
        """Write the user.conf of one test; every other test repeats the values of performance."""
        path = self.folder / f"{name}.{USER_CONF_FILE}"
        values = self._values(name)
        model = self._order.benchmark.loadgen_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(user_conf.render(model, self._scenario, values), encoding="utf-8")
        return path

    def _values(self, name: str) -> dict[str, Number]:
        if name == PERFORMANCE:
            return self._performance_values()
        path = self.folder / PERFORMANCE / USER_CONF_FILE
        ran = user_conf.load(path, [self._order.benchmark.loadgen_name])
        values = conf.values_of(self._order, self._scenario, ran)
        return conf.accuracy_values(values) if name == ACCURACY else values

    def _performance_values(self) -> dict[str, Number]:
        own = self.plan(None, PERFORMANCE).user_conf_settings()
        values = {key: cast("Number", setting.value) for key, setting in own.items()}
        return conf.performance_values(self._order, self._scenario, values)

    def _check_settings(self) -> None:
        """Refuse to mix tests of one scenario with different settings."""
        order, path = self._order, self.folder / SETTINGS_FILE
        plan = self.plan(None, PERFORMANCE)
        wanted = {
            **{name: _plain(setting.value) for name, setting in plan.settings.items()},
            "user.conf": {key: _plain(v) for key, v in self._performance_values().items()},
            "model": None if order.model is None else str(order.model.absolute()),
            "data": None if order.data is None else str(order.data.absolute()),
            "network": order.network,
            "pixels": order.pixels,
        }
        begun = any(self.done(name) for name in (PERFORMANCE, ACCURACY, *TESTS))
        if not path.exists() or not begun:
            path.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
            return
        before = system_json.read(path)
        for name, value in wanted.items():
            # A setting that an older version of the program did not have cannot have changed.
            if name in before and before[name] != value:
                raise ConfigError(
                    f"{self.folder}: its tests ran with {name} {before.get(name)}, but now it "
                    f"is {value}; all tests of a scenario need the same settings. Undo the change, "
                    "remove the folder, or name another --work."
                )

    def _set_aside(self, name: str) -> None:
        """Rename a run folder without a usable result, so that nothing measured is deleted."""
        folder = self.folder / name
        if not folder.exists() or not any(folder.iterdir()):
            return
        number = 1
        while (aside := folder.with_name(f"{name}.old-{number}")).exists():
            number += 1
        folder.rename(aside)
        self._say(f"{self._scenario}: {name}: the earlier run is now in {aside}")


def _result(folder: Path) -> Result | None:
    return read_result(folder) if (folder / SUMMARY_FILE).is_file() else None


def _plain(value: object) -> object:
    """Return the value as JSON gives it back."""
    return json.loads(json.dumps(value))
