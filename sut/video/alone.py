"""Each stage of a pipeline alone, on this machine as it is now: the ceilings of the whole.

An engine alone gets samples of noise as fast as it answers, through its own dispatcher. Decoders
alone decode all streams at once and throw the frames away. Knows no play.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import WorkerError
from sut.video.flow.prepare import Preparer
from sut.video.flow.scaling import scaled_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data.benchmark import Benchmark
    from sut.video.flow.scaling import Scale
    from sut.video.flow.stage import Asked, Stage
    from sut.video.sources.base import Source

_ROUNDS = 2  # full batches of every engine slot under way: one runs, the next one waits
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What each stage alone reaches, as frames of the pipeline a second.

    Attributes:
        frames_per_s: by name: `decode`, and the stages whose samples a frame has.
        samples_per_s: of each engine stage alone.
    """

    frames_per_s: Mapping[str, float]
    samples_per_s: Mapping[str, float]

    @property
    def slowest(self) -> str:
        """The name of the lowest ceiling."""
        return min(self.frames_per_s, key=lambda name: self.frames_per_s[name])


def ceilings(
    stages: Sequence[Stage],
    decode: float | None,
    samples: Mapping[str, float],
    seconds: float,
) -> Ceilings:
    """Measure every stage alone, one after the other.

    Args:
        stages: open, and nothing runs on them.
        decode: frames a second of the decoders; see `decode_alone`. None: they have no ceiling.
        samples: that a frame has on average for each stage; those with none are left out.
        seconds: for each.

    Raises:
        SutError: an engine fails.
    """
    rates = {stage.name: engine_alone(stage, seconds) for stage in stages}
    by_frame = {name: rates[name] / share for name, share in samples.items() if share > 0}
    return Ceilings({**({"decode": decode} if decode else {}), **by_frame}, rates)


def engine_alone(stage: Stage, seconds: float) -> float:
    """Return the samples a second that a stage's engines answer when nothing else runs.

    Raises:
        WorkerError: it does not answer.
    """
    (tensor,) = stage.plan.workload.inputs
    random = np.random.default_rng(0)
    noise = random.random((1, *tensor.sizes), np.float32).astype(tensor.dtype)
    answered_ns: list[int] = []
    over = threading.Event()
    left = under_way = _ROUNDS * stage.max_batch_size * stage.workers * stage.plan.harness.slots
    lock = threading.Lock()
    end_ns = time.monotonic_ns() + int(seconds * 1e9)

    def again(query: Asked) -> None:
        nonlocal left
        answered_ns.append(query.ended_ns)
        if query.ended_ns < end_ns and not query.failed:
            stage.ask(noise, again)
            return
        with lock:
            left -= 1
            if not left:
                over.set()

    for _ in range(under_way):
        stage.ask(noise, again)
    if not over.wait(seconds + _WAIT_S):
        raise WorkerError(f"stage {stage.name} alone has no answer after {seconds + _WAIT_S:g} s")
    return _rate(np.sort(np.array(answered_ns)), end_ns)


def decode_alone(
    sources: Sequence[Source], benchmark: Benchmark, scale: Scale, seconds: float
) -> float:
    """Return the frames a second that the decoders of all streams give, RGB pixels included.

    Clips that end are played again. A process of readers may call it.

    Args:
        sources: of the streams; they are closed afterwards.
        benchmark: of the first stage.
        scale: who makes frames as small as it wants them.
        seconds: how long.

    Raises:
        SutError: a clip cannot be decoded.
    """
    scaled = scaled_by(scale, Preparer(benchmark))
    counts = [0] * len(sources)
    errors: list[Exception] = []
    begin = threading.Barrier(len(sources) + 1)
    over = threading.Event()

    def read(place: int, source: Source) -> None:
        begin.wait()
        try:
            while not over.is_set():
                before = counts[place]
                for picture in source.pictures():
                    if scaled(picture) is None:
                        picture.image()
                    counts[place] += 1
                    if over.is_set():
                        break
                if source.facts.live or counts[place] == before:
                    break
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            source.close()

    threads = [
        threading.Thread(target=read, args=each, name=f"decode {each[0]}", daemon=True)
        for each in enumerate(sources)
    ]
    for thread in threads:
        thread.start()
    begin.wait()
    started_ns = time.monotonic_ns()
    over.wait(seconds)
    done, ended_ns = sum(counts), time.monotonic_ns()
    over.set()
    for thread in threads:
        thread.join(1.0)
    if errors:
        raise errors[0]
    return done * 1e9 / (ended_ns - started_ns)


def _rate(ascending_ns: np.ndarray, end_ns: int) -> float:
    """Return answers a second between the first batch's and the last before the end."""
    inside = ascending_ns[ascending_ns <= end_ns]
    if len(inside) == 0 or inside[-1] == inside[0]:
        return len(ascending_ns) * 1e9 / max(1, int(ascending_ns[-1] - ascending_ns[0]) or 1)
    after_first = int((inside > inside[0]).sum())
    return after_first * 1e9 / float(inside[-1] - inside[0])
