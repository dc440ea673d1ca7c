"""What becomes of a point: rows, problems in one line, and what is not even tried."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sut.base.errors import ConfigError, SutError
from sut.config.arguments import Arguments
from sut.load.loads import LoadSpec
from sut.record.device_telemetry import DeviceTelemetry, Figures, Sampling, Span
from sut.record.table import Row
from sut.sweep.concurrency.act import TIMES_FILE, Answer, Asked
from sut.sweep.concurrency.devices import device_figures
from sut.sweep.concurrency.figures import Ran
from sut.sweep.concurrency.grid import Crowd, Phases, Share, crowds
from sut.sweep.concurrency.memory import Memory
from sut.sweep.concurrency.mps import check_mps, environment
from sut.sweep.concurrency.profiler import Profiler, longest, profiler_of
from sut.sweep.concurrency.runner import answered
from sut.sweep.plan import Planner, Sweep
from sut.sweep.tries.outcome import Kind, Outcome
from tests.sut.sweep.concurrency.times import MS, lane

WINDOW = (100 * MS, 1_100 * MS)
MB = 1_000_000


def points(
    *shares: Share, processes: tuple[int, ...] = (1, 2), devices: tuple[str, ...] = ("0",)
) -> list[Crowd]:
    """Return points of batch 1 and 4."""
    arguments = Arguments(
        "resnet50", "Offline", backend="simulated", devices=devices,
        backend_options={"base_ms": 1.0},
    )  # fmt: skip
    sweep = Sweep(arguments, {}, LoadSpec("offline"), {"batch": (1, 4)})
    return crowds(Planner(sweep).tasks(), processes, shares or ("processes",), 2, Phases())


def asked(crowd: Crowd, out: Path) -> list[Asked]:
    return [msgspec.convert(r.arguments, Asked) for r in crowd.requests(out, {})]


def test_one_process_alone_comes_first_and_compiles_what_all_then_use() -> None:
    assert [tuple(point.point.values()) for point in points()] == [(1, 1), (1, 4), (2, 1), (2, 4)]
    assert "share" not in points()[0].point
    assert points("processes", "threads")[-1].point["share"] == "threads"


@pytest.mark.parametrize(
    ("share", "requests", "engines", "workers"),
    [("processes", 3, 1, 3), ("threads", 1, 3, 3), ("streams", 1, 1, 1), ("mps", 3, 1, 3)],
)
def test_the_ways_to_share(share: Share, requests: int, engines: int, workers: int) -> None:
    crowd = points(share, processes=(3,))[0]

    found = asked(crowd, Path("out"))

    assert (len(found), found[0].engines, crowd.workers) == (requests, engines, workers)
    is_streams = share == "streams"
    assert (found[0].inflight, found[0].needs_slots) == (3 if is_streams else 2, is_streams)


def test_several_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match="--devices 0,1: expected the one that is shared"):
        points(devices=("0", "1"))


def test_more_processes_take_longer_to_start() -> None:
    times = [point.usual_s() for point in points(processes=(1, 8))]

    assert times[0] < times[-1] < 10


# --- what processes leave


def left(folder: Path, crowd: Crowd) -> list[Outcome]:
    """Let the processes of a point leave their times; return their outcomes."""
    answer = Answer(WINDOW, 2, {"voluntary": 3}, 7, 11)
    found = []
    for request in crowd.requests(folder, {}):
        Path(request.out_dir).mkdir()
        np.savez(Path(request.out_dir) / TIMES_FILE, lane(10, 1_200))
        found.append(Outcome(Kind.OK, figures=asdict(answer), facts={"simulated": "True"}))
    return found


def test_the_times_of_all_processes_are_read_and_removed(tmp_path: Path) -> None:
    crowd = points(processes=(2,))[0]

    found = answered(crowd, crowd.requests(tmp_path, {}), left(tmp_path, crowd))

    assert [len(times) for times in found.ran.lanes] == [120, 120]
    assert found.ran.scheduled[0].voluntary == 3
    assert not list(tmp_path.glob(f"*/{TIMES_FILE}"))


@pytest.mark.parametrize("kind", [Kind.OUT_OF_MEMORY, Kind.HUNG, Kind.SIGNALLED, Kind.VANISHED])
def test_a_process_that_ends_badly_is_named_with_its_reason(tmp_path: Path, kind: Kind) -> None:
    crowd = points(processes=(2,))[0]
    outcomes = [Outcome(Kind.STOPPED), Outcome(kind, "device 0: what it said")]

    with pytest.raises(SutError, match=f"^process 2 of 2: {kind}: device 0: what it said$"):
        answered(crowd, crowd.requests(tmp_path, {}), outcomes)


# --- what the device told


def test_a_simulated_device_draws_power_for_the_time_that_it_is_busy() -> None:
    ran = Ran(4, WINDOW, [lane(10, 1_200, host_ms=5.1)], [])
    facts = {"simulated": "True", "power_w": "70", "idle_w": "10"}

    found = device_figures(ran, 400.0, facts, None)

    assert found["utilisation_percent"] == pytest.approx(48)
    assert found["power_w"] == pytest.approx(10 + 0.48 * 60)
    assert found["energy_j_per_sample"] == pytest.approx(38.8 / 400)
    assert found["energy_above_idle_j_per_sample"] == pytest.approx(28.8 / 400)


def test_what_a_gpu_does_not_tell_is_absent() -> None:
    told = DeviceTelemetry(
        "nvml", 600.0, 1.5, None, 600.0, None, None,
        {"0": Figures(10, memory_used_bytes=5, sm_percent=Span(10, 40, 90))},
        Sampling(0.1, None, None, None),
    )  # fmt: skip
    ran = Ran(4, WINDOW, [lane(10, 1_200)], [])

    found = device_figures(ran, 400.0, {}, told)

    assert found == {
        "power_w": 600.0, "energy_j_per_sample": 1.5, "memory_bytes": 5.0, "sm_percent": 40.0,
        "samples_per_j": pytest.approx(400 / 600),
    }  # fmt: skip
    assert device_figures(ran, 400.0, {}, None) == {}


# --- what cannot fit


def learnt(limit_mb: float, *, force: bool = False) -> tuple[Memory, list[Crowd]]:
    """Return a memory of 100 MB a process and 10 MB a sample, from three of six points.

    50 MB were in use before.
    """
    memory = Memory({"0": int(limit_mb * MB)}, {"0": 50 * MB}, force)
    found = points(processes=(1, 2, 8))
    for crowd in found[:3]:
        taken = (50 + crowd.processes * (100 + 10 * crowd.load.request_batch)) * MB
        memory.learn(crowd, Row(point={}, figures={"memory_bytes": float(taken)}))
    return memory, found


def test_a_point_that_cannot_fit_is_refused_with_what_it_needs() -> None:
    memory, found = learnt(limit_mb=500)

    assert memory.refusal(found[3]) is None
    refusal = memory.refusal(found[5])
    assert refusal is not None
    assert "refused: 8 processes with batches of 4 need 1,120.0 MB" in refusal
    assert "--force" in refusal


def test_files_that_processes_of_the_host_share_count_for_none_of_them() -> None:
    memory, found = Memory({"0": 500 * MB}), points(processes=(1, 2, 8))
    for crowd in found[:3]:
        taken = (300 + crowd.processes * (100 + 10 * crowd.load.request_batch)) * MB
        figures = {"memory_bytes": float(taken), "shared_bytes": 300.0 * MB}
        memory.learn(crowd, Row(point={}, figures=figures))

    assert "need 1,120.0 MB" in (memory.refusal(found[5]) or "")


def test_nothing_is_refused_by_force_or_without_a_limit() -> None:
    memory, found = learnt(limit_mb=500, force=True)

    assert memory.refusal(found[5]) is None
    assert replace(memory, is_off=False, limit_bytes={}).refusal(found[5]) is None


# --- profilers, MPS


def test_a_profiler_stands_before_the_command_with_the_folder_of_its_process() -> None:
    words = Profiler("perf record -o '{out}/perf data' --").before("/run/process-1")

    assert words == ["perf", "record", "-o", "/run/process-1/perf data", "--"]


def test_a_profiler_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match='profiler "no-such-profiler" is not installed'):
        profiler_of("no-such-profiler -x")


def test_the_longest_calls_of_nsys_are_told() -> None:
    text = (
        "Processing [profile.sqlite]...\n"
        "Time (%),Total Time (ns),Num Calls,Avg (ns),Name\n"
        "61.5,123000000,3000,41000.0,cudaStreamSynchronize\n"
        "20.0,40000000,3000,13333.3,cudaGraphLaunch\n"
    )

    assert longest(text) == [
        "61.5 % in cudaStreamSynchronize, 3000 calls, 41.0 us each",
        "20.0 % in cudaGraphLaunch, 3000 calls, 13.3 us each",
    ]
    assert longest("") == []


def daemon(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> Path:
    """Install a stand-in for the control program of MPS that writes down what it is told."""
    program, told = folder / "nvidia-cuda-mps-control", folder / "told"
    told.write_text("")
    program.write_text(
        f'#!/bin/sh\necho "$CUDA_MPS_PIPE_DIRECTORY" $* $(cat) >>{told}\nexit {code}'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return told


def test_mps_is_started_for_a_point_and_ended_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = daemon(tmp_path, monkeypatch)

    with environment(with_mps=True) as variables:
        folder = variables["CUDA_MPS_PIPE_DIRECTORY"]
        assert told.read_text() == f"{folder} -d\n"

    assert told.read_text() == f"{folder} -d\n{folder} quit\n"
    assert variables["CUDA_MPS_LOG_DIRECTORY"] == folder
    assert not Path(folder).exists()


def test_without_mps_no_daemon_is_started_and_none_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = daemon(tmp_path, monkeypatch)

    with environment(with_mps=False) as variables:
        assert variables["CUDA_MPS_PIPE_DIRECTORY"].startswith("/")

    assert told.read_text() == ""


def test_a_daemon_that_does_not_start_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon(tmp_path, monkeypatch, code=1)

    with (
        pytest.raises(SutError, match="nvidia-cuda-mps-control -d: exit code 1"),
        environment(with_mps=True),
    ):
        pass


def test_a_machine_without_mps_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ConfigError, match="a Jetson has none"):
        check_mps()
