"""A search on a GPU that is played by the host: the real engine, the real act, a full device.

Only processes are missing: each try runs here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from backends.cuda.host_driver import HostDriver
from sut.record.journal import JournalFile
from sut.sweep.fit.act import act
from sut.sweep.fit.memory import GpuMemory
from sut.sweep.fit.session import FitSession, Wanted
from sut.sweep.fit.trier import Target, Tried
from sut.sweep.tries.attempt import Attempt
from sut.sweep.tries.outcome import Kind, kind_of
from tests.backends.host_engine import open_on_host, spec_of
from tests.sut.sweep.fit.test_session import HARNESS, WORKLOAD

if TYPE_CHECKING:
    from pathlib import Path

    from backends.cuda.engine import CudaEngine

FREE = 100_000


@dataclass
class Played:
    """An attempt whose engine is open already."""

    engine: CudaEngine
    request: Any
    opening: dict[str, int]
    stopping: threading.Event = field(default_factory=threading.Event)

    def at_barrier(self) -> int:
        return 0

    samples = Attempt.samples


@dataclass(frozen=True)
class Request:
    max_batch_size: int


class Gpu:
    """Tries on a device with so many bytes; a new one for each, as for a new process."""

    def __init__(self, memory: GpuMemory) -> None:
        self._memory = memory

    def __call__(self, target: Target, batch: int, reserve: float) -> Tried:
        driver = HostDriver(memory_bytes=FREE)
        if taken := self._memory.taken_bytes(reserve):
            driver.allocate(taken)
        opening = {"device_free_bytes": driver.free_bytes()}
        try:
            engine = open_on_host(replace(spec_of(slots=2), max_batch_size=batch), driver)
            figures = act(Played(engine, Request(batch), opening))  # type: ignore[arg-type]
            engine.close()
        except Exception as error:  # noqa: BLE001 - as in the process of a try
            return Tried(
                point=dict(target.point), batch=batch, reserve=reserve,
                kind=kind_of(error), message=str(error),
            )  # fmt: skip
        return Tried(
            point=dict(target.point), batch=batch, reserve=reserve, kind=Kind.OK,
            figures=(figures,), needed_bytes=self._memory.needed_bytes([figures], reserve),
        )  # fmt: skip


@pytest.mark.parametrize("reserve", [0.0, 0.25])
def test_the_edge_of_a_device_is_where_single_steps_find_it(tmp_path: Path, reserve: float) -> None:
    memory = GpuMemory("0", lambda device: FREE)
    gpu, target = Gpu(memory), Target({"instances": 1}, WORKLOAD, HARNESS, 0)
    journal = JournalFile(tmp_path, {}, "search")
    session = FitSession(journal, memory, gpu, Wanted(reserve, 0.01), lambda line: None)
    session.open()
    [row] = session.run([target], lambda rows: None)
    found = row.largest_batch_with_reserve if reserve else row.largest_batch
    assert found is not None
    edge = found
    while gpu(target, edge + 1, reserve).fits:
        edge += 1
    assert found >= 0.98 * edge > 20
    assert row.bound.startswith("out of memory: ")
    assert "cudaErrorMemoryAllocation" in row.bound
    assert row.model_error is not None
    assert row.engine_bytes["device_free"] < FREE
