"""One LoadGen test under its supervisor, without a command line, and with limits of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.base import TensorSpec
from data.tasks.other import Raw
from scenarios.base import Load
from sut.config.settings import HarnessSettings, Limits, TrialRequest, TrialSamples, WorkerKind
from sut.config.workload import Samples, Workload
from sut.run.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from backends.base import OptionValue

SAMPLES = 16
QUICK = {"base_ms": 1.0, "per_sample_ms": 0.0}


def request(
    out: Path, workers: WorkerKind, options: dict[str, OptionValue], limits: Limits, seconds: float
) -> TrialRequest:
    """Return a SingleStream test of so many seconds on one simulated device."""
    return TrialRequest(
        scenario="SingleStream",
        accuracy=False,
        out_dir=str(out),
        load=Load(min_duration_s=seconds, min_query_count=1),
        workload=Workload(
            benchmark="none",
            loadgen_model="efficientnet-lite0",
            model=None,
            inputs=(TensorSpec("x", (1,), "float32"),),
            output_name=None,
            postprocess=Raw(),
            performance_sample_count=SAMPLES,
        ),
        harness=HarnessSettings(
            backend="simulated",
            workers=workers,
            devices=("0",),
            instances=1,
            max_batch_size=4,
            max_queue_delay_us=0,
            slots=1,
            backend_options={**QUICK, **options},
        ),
        warm_up_s=0.1,
        limits=limits,
    )


def run(made: TrialRequest) -> None:
    """Run it to its end.

    Raises:
        SutError: it failed.
    """
    with Supervisor(made) as trial:
        assert trial.wait_for("engines", _nothing)
        trial.send(TrialSamples(Samples((), SAMPLES), {}))
        assert trial.wait_for("done", _nothing)


def _nothing() -> None:
    """Nothing to do meanwhile."""
