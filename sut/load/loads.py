"""What a load of our own asks for: plain data, and the load that it describes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from sut.load import arrivals
from sut.load.closed_loop import ClosedLoop
from sut.load.open_loop import OpenLoop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sut.serve.dispatcher import Recorder
    from sut.serve.pool import Front

# "offline" is a closed loop of whole batches, one in flight for each engine.
Kind = Literal["offline", "closed", "poisson", "constant", "replay"]
CLOSED: tuple[Kind, ...] = ("offline", "closed")
OPEN: tuple[Kind, ...] = ("poisson", "constant", "replay")


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One load.

    Attributes:
        kind: of load.
        request_batch: samples of a request.
        concurrency: requests in flight, in a closed loop.
        qps: requests/s, of poisson and constant.
        requests: of constant; 0: without end.
        seed: of poisson.
        recorded: the file of arrival times, of replay.
        speed: of replay: 2.0 sends the recorded requests in half of the time.
    """

    kind: Kind
    request_batch: int = 1
    concurrency: int = 1
    qps: float = 0.0
    requests: int = 0
    seed: int = 0
    recorded: str = ""
    speed: float = 1.0


class Load(Protocol):
    """Who asks. It is the recorder of its system, so that it sees every batch that ends."""

    def query(self, arrival_ns: int, samples: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def run(self, front: Front) -> None:
        """Send requests on the calling thread until `stop`, or until there are no more."""

    def stop(self) -> None:
        """Send no further request. Any thread."""

    def wait(self, limit_s: float) -> bool:
        """After `stop`: wait until all requests are answered; False: some are not in time."""

    def scheduled_ns(self) -> NDArray[np.int64]:
        """Return when each request was to be sent, [R], in the order of their samples."""


def load_of(spec: LoadSpec, samples: int, trace: Recorder) -> Load:
    """Return the load of a specification.

    Args:
        spec: what to send.
        samples: loaded ones; requests name them in turn.
        trace: receives the times.

    Raises:
        DataError: the file of a replay cannot be read.
    """
    if spec.kind in CLOSED:
        return ClosedLoop(spec.concurrency, spec.request_batch, samples, trace)
    if spec.kind == "poisson":
        times = arrivals.poisson(spec.qps, spec.seed)
    elif spec.kind == "constant":
        times = arrivals.constant(spec.qps, spec.requests)
    else:
        times = arrivals.replay(Path(spec.recorded), spec.speed)
    return OpenLoop(times, spec.request_batch, samples, trace)
