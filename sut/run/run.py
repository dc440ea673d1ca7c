"""Runs a plan in its mode: one LoadGen test, or the two of a submission.

Each test has its own process. The tuner, `sut run` and `sut submit` all call this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import SutError
from sut.base.signals import exit_code
from sut.record.run_folder import RunFolder
from sut.run.test import Surroundings, Test

if TYPE_CHECKING:
    import signal
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.record.result import Result
    from sut.run.test import Ended, Watch
    from sut.serve.workers.keeper import Keeper


class Interrupted(SutError):
    """A signal ended the run. `result` is what was measured; the run folder has it too."""

    def __init__(self, number: signal.Signals, result: Result) -> None:
        super().__init__(f"interrupted by {number.name}; the results so far are kept")
        self.result = result
        self.code = exit_code(number)


def run(  # noqa: PLR0913 - the last three are for callers that run more than one test
    plan: Plan,
    out_dir: Path,
    command: str,
    *,
    watch: Watch | None = None,
    quiet: bool = False,
    keeper: Keeper | None = None,
) -> Result:
    """Run one scenario in the plan's mode; return what its summary.json holds.

    Args:
        plan: what to run.
        out_dir: the run folder; it must not hold a result yet.
        command: repeats the run; kept in the result.
        watch: called about four times a second while LoadGen runs, with its own TraceReader, whose
            `new_batches` returns what was completed since the last call. If it returns a reason,
            the test ends early. The result is then not valid, `interrupted` is
            sut.record.result.STOPPED, and `reasons` has the reason. It is returned, not raised.
        quiet: print no live line and no progress.
        keeper: keeps worker processes, with their engines, for the next test of the same command.

    Raises:
        SutError: bad input, with nothing left behind; or a failure, with the logs kept.
        Interrupted: by SIGINT, SIGTERM or SIGHUP.
    """
    around = Surroundings(watch, quiet, keeper)
    mode = plan.arguments.mode
    if mode != "submission":
        return _kept(Test(plan, out_dir, command, around, accuracy=mode == "accuracy").run())
    with RunFolder(out_dir) as folder:
        try:
            performance = _kept(
                Test(plan, out_dir / "performance", command, around, accuracy=False).run()
            )
            accuracy = _kept(Test(plan, out_dir / "accuracy", command, around, accuracy=True).run())
        except Interrupted as interruption:
            of_both = msgspec.structs.replace(interruption.result, mode=mode, valid=False)
            folder.write_result(of_both)
            raise
        both = _both(performance, accuracy)
        folder.write_result(both)
    return both


def _kept(ended: Ended) -> Result:
    """Return the result of a test.

    Raises:
        Interrupted: a signal came, even if it was too late to interrupt this test.
    """
    if ended.interrupted is not None:
        raise Interrupted(ended.interrupted, ended.result)
    return ended.result


def _both(performance: Result, accuracy: Result) -> Result:
    """Return the result of a submission: the performance test's, with the other's accuracy."""
    return msgspec.structs.replace(
        performance,
        mode="submission",
        accuracy=accuracy.accuracy,
        valid=performance.valid and accuracy.valid,
        reasons=(*performance.reasons, *accuracy.reasons),
        findings=tuple(dict.fromkeys((*performance.findings, *accuracy.findings))),
    )
