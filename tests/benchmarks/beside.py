"""Whether a slow postprocess holds up the device: the lane of a worker on a simulated device.

The device computes a batch in a known time, and the postprocess takes a known time an image: it
sleeps, as a library does that computes without the interpreter lock; or it keeps the lock, which is
the worst that Python code can do; or it makes the boxes of YOLO11l. Printed is how busy the device
was, from the first start to the last finish.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from backends.base import EngineSpec, TensorSpec
from backends.simulated.engine import open_engine
from data.benchmark import load_benchmark
from data.tasks import records_of
from data.tasks.base import FrameFile
from sut.base.process import collector_off
from sut.serve.responses import Responses
from sut.serve.workers.lane import Lane, Outcome
from sut.serve.workers.postprocess import Postprocessing
from tests.benchmarks import paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from data.tasks.base import Outputs, Records
    from sut.serve.workers.executor import Timed

MODULE = "tests.benchmarks.beside"
INPUT = TensorSpec("x", (1,), "float32")
SIDE, CANDIDATES, NUMBERS = 640, 8400, 84
PASSING = 0.13  # of the candidates, as in the benchmark yolo11l-synthetic


class Work:
    """A batch."""

    def __init__(self, size: int) -> None:
        self.indices = list(range(size))


class Station:
    """An executor as a lane knows it: a simulated device, and a postprocess that takes its time."""

    def __init__(self, arguments: argparse.Namespace, records: Records, threads: int) -> None:
        cost = {"base_ms": arguments.batch_ms, "slots": arguments.slots}
        spec = EngineSpec("simulated", None, (INPUT,), None, arguments.batch, options=cost)
        self._engine = open_engine(spec)
        self._engine.bind({"x": np.zeros((arguments.batch, 1), np.float32)})
        self._postprocess = Postprocessing(records, threads)
        self.slots = arguments.slots
        self.spans: list[tuple[int, int]] = []

    def run(self, indices: Sequence[int]) -> Responses:
        """Never called: the engine is asynchronous."""
        raise AssertionError(indices)

    def launch(self, slot: int, indices: Sequence[int]) -> None:
        """See Executor."""
        self._engine.launch(slot, indices)

    def wait(self, slot: int, indices: Sequence[int]) -> Timed:
        """See Executor."""
        outputs, span = self._engine.wait(slot)
        self.spans.append(span)
        return Responses.of(self._postprocess(outputs, indices)), *span

    def close(self) -> None:
        """End threads and device."""
        self._postprocess.close()
        self._engine.close()


def busy(arguments: argparse.Namespace, records: Records, threads: int) -> float:
    """Return the share of the time in which the device computed."""
    station = Station(arguments, records, threads)
    ended: list[BaseException] = []

    def report(_: Work, outcome: Outcome) -> None:
        assert not outcome.error, outcome.traceback

    lane: Lane[Work] = Lane(station, report, ended.append)  # type: ignore[arg-type]  # all that a lane uses
    lane.open()
    for _ in range(arguments.batches):
        lane.run(Work(arguments.batch))
    lane.close()
    station.close()
    assert not ended, ended
    computed = sum(finished - started for started, finished in station.spans)
    return computed / (station.spans[-1][1] - station.spans[0][0])


def sleeping(image_ms: float) -> Records:
    """Return a postprocess that leaves the interpreter lock to others."""

    def records(_: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        time.sleep(len(indices) * image_ms / 1e3)
        return np.zeros((len(indices), 1), np.float32)

    return records


def locked(image_ms: float) -> Records:
    """Return a postprocess that runs Python code all the time."""

    def records(_: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        end_s = time.thread_time() + len(indices) * image_ms / 1e3
        while time.thread_time() < end_s:
            pass
        return np.zeros((len(indices), 1), np.float32)

    return records


def yolo() -> Records:
    """Return that of the benchmark yolo11l, on made answers."""
    spec = load_benchmark("yolo11l-synthetic").postprocess
    make = records_of(spec, FrameFile(SIDE, SIDE))
    random = np.random.default_rng(0)
    head = np.zeros((NUMBERS, CANDIDATES), np.float16)
    head[:4] = random.uniform(20, 300, (4, CANDIDATES))
    passing = np.flatnonzero(random.random(CANDIDATES) < PASSING)
    head[4 + random.integers(0, NUMBERS - 4, len(passing)), passing] = random.random(len(passing))
    return lambda _, indices: make((np.stack([head] * len(indices)),), indices)


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--batch", type=int, default=8, help="samples (8)")
    parser.add_argument("--batch-ms", type=float, default=40.0, help="of the device (40)")
    parser.add_argument("--image-ms", type=float, default=5.0, help="of the postprocess (5)")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8])
    arguments = parser.parse_args()
    ways = {
        f"sleeps {arguments.image_ms:g} ms an image": sleeping(arguments.image_ms),
        f"keeps the lock {arguments.image_ms:g} ms an image": locked(arguments.image_ms),
        "boxes of YOLO11l": yolo(),
    }
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    collector_off()
    threading.current_thread().name = "launcher"
    rows = [
        (name, *(f"{busy(arguments, records, threads):.3f}" for threads in arguments.threads))
        for name, records in ways.items()
    ]
    print(paired.table(("device busy", *(f"{n} threads" for n in arguments.threads)), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
