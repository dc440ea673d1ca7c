"""Starts the sampler of a test, ends it, and writes its readings into the run folder.

Knows processes and files; no device, and no option of a backend.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import msgspec

from backends.base import WITHOUT_MODEL
from sut.base import ending
from sut.base.environment import ROOT
from sut.record.device_telemetry import DeviceTelemetry, Sampling
from sut.record.run_folder import LOG_FILE, TRACE_FILE
from sut.telemetry import log, power_sources, reasons
from sut.telemetry.figures import figures, held_back, total
from sut.telemetry.findings import findings
from sut.telemetry.meter import Power
from sut.telemetry.sampler import PERIOD_S, Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from sut.record.tail import HeldBack
    from sut.record.trace import Window
    from sut.telemetry.log import Log
    from sut.telemetry.meter import Reading

    Facts = Mapping[str, object]

DEVICES_FILE = "devices.json"
TELEMETRY_FILE = "telemetry.csv"
RAW_FILE = "telemetry.part"
COLUMNS = (
    "time_s", "device", "power_w", "temperature_c", "sm_clock_mhz", "memory_clock_mhz",
    "utilisation_percent", "memory_used_bytes", "throttle", "throttle_reasons", "energy_j",
    "link_generation", "link_width", "sm_percent", "sm_occupancy_percent", "tensor_percent",
    "dram_percent", "decoder_percent", "encoder_percent",
)  # fmt: skip
# A driver that lost its GPU may not answer; then the sampler is killed.
_END_S = 2.0
# A sampler that takes longer to start misses the beginning of the test.
_START_S, _LOOK_S = 5.0, 0.01
# Until the sampler has written the first reading after a window.
_AFTER_S = 5 * PERIOD_S


@dataclass(frozen=True, slots=True)
class Seen:
    """What the devices reported during one test.

    Attributes:
        telemetry: None if no device could be asked, or the test did not begin.
        findings: what makes the result doubtful, each with its remedy.
        held_back: when each device was slowed down.
    """

    telemetry: DeviceTelemetry | None = None
    findings: tuple[str, ...] = ()
    held_back: Mapping[str, HeldBack] = field(default_factory=dict)


class Recorder:
    """The sampler of one test. Use it in a `with`. Without a device to ask it does nothing."""

    def __init__(self, backend: str, devices: Sequence[str], folder: Path) -> None:
        self._backend = backend
        self._devices = devices
        self._folder = folder
        self._raw = (folder / RAW_FILE).absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self.problems: list[str] = []  # what could not be written

    def __enter__(self) -> Self:
        """Start sampling real devices before the engines open, to see them idle too."""
        wanted = of_real_devices(self._backend, self._devices, self._raw)
        if wanted is not None:
            self._start(wanted)
        return self

    def engines(self, facts: Sequence[Facts], devices: Sequence[str]) -> None:
        """Start sampling simulated devices; their engines report what they draw.

        Returns once sampling has begun, so that it covers the whole test.

        Args:
            facts: of each engine, in the order of the workers.
            devices: of each engine, in the same order.
        """
        powers = drawn(facts, devices)
        if not powers:
            return
        trace = str((self._folder / TRACE_FILE).absolute())
        self._start(Request("simulated", str(self._raw), simulated=powers, trace=trace))
        assert self._process is not None, "it was started"
        end_s = time.monotonic() + _START_S
        while time.monotonic() < end_s and self._process.poll() is None:
            if self._raw.exists() and self._raw.stat().st_size:
                return
            time.sleep(_LOOK_S)

    def _start(self, wanted: Request) -> None:
        with (self._folder / LOG_FILE).open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sut.telemetry.sampler"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,  # a Ctrl-C at the terminal reaches the parent alone
            )
        self._tell(msgspec.json.encode(wanted))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the sampler, and keep its readings even after a failure."""
        if self._process is not None:
            if error is not None:
                self._process.kill()
            self.finish(None, 0)

    def follow(self, sessions: Sequence[int]) -> None:
        """Tell the sampler which sessions the processes of the test belong to."""
        for session in sessions:
            self._tell(str(session).encode())

    def finish(self, window: Window | None, samples: int) -> Seen:
        """End the sampler, write the files, and return the part of the result.

        Args:
            window: the time of the test; None if no sample was completed.
            samples: completed in it.
        """
        self._stop()
        sampled = log.read(self._raw)
        self._raw.unlink(missing_ok=True)
        if not sampled.facts:
            return Seen()
        try:
            self._write_devices(sampled)
            self._write_readings(sampled, window)
        except OSError as error:
            what = f"{DEVICES_FILE} or {TELEMETRY_FILE}"
            self.problems.append(f"{what} cannot be written whole: {error.strerror}.")
        return _seen(sampled, window, samples)

    def so_far(self, window: Window, samples: int) -> Seen:
        """Return what the devices reported in a window that is over; the sampling goes on.

        Args:
            window: the time of one test of several.
            samples: completed in it.
        """
        end_s = time.monotonic() + _AFTER_S
        while (sampled := log.read(self._raw)).facts and time.monotonic() < end_s:
            if all(r and r[-1].at_ns >= window.end_ns for r in sampled.readings.values()):
                break
            time.sleep(PERIOD_S / 2)
        return _seen(sampled, window, samples, ended=False) if sampled.facts else Seen()

    def _tell(self, line: bytes) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it found no device to ask, and says so in run.log
            return

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, or was killed
            process.stdin.close()
        ending.end(process, "telemetry", _END_S)

    def _write_devices(self, seen: Log) -> None:
        content = [
            {
                **msgspec.to_builtins(facts),
                "throttle_reasons": None
                if facts.throttle is None
                else reasons.words(facts.throttle),
                "processes": msgspec.to_builtins(list(seen.processes[device].values())),
            }
            for device, facts in seen.facts.items()
        ]
        text = json.dumps({"devices": content}, indent=2, ensure_ascii=False) + "\n"
        (self._folder / DEVICES_FILE).write_text(text, encoding="utf-8")

    def _write_readings(self, seen: Log, window: Window | None) -> None:
        rows = [(d, reading) for d, readings in seen.readings.items() for reading in readings]
        rows.sort(key=lambda row: row[1].at_ns)
        first_ns = rows[0][1].at_ns if rows else 0
        start_ns = first_ns if window is None else window.start_ns
        with (self._folder / TELEMETRY_FILE).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(_row(device, reading, start_ns) for device, reading in rows)


def of_real_devices(backend: str, devices: Sequence[str], out: Path) -> Request | None:
    """Return what to ask the sampler for before the engines open; None if there is nothing to ask.

    Args:
        backend: a key of backends.base.BACKENDS.
        devices: of this machine, as the backend names them.
        out: the file that the sampler writes.
    """
    if backend in WITHOUT_MODEL or not devices:
        return None
    gpus = tuple(dict.fromkeys(device for device in devices if device.isdecimal()))
    if gpus and not power_sources.is_jetson():
        return Request("nvml", str(out), gpus)
    # NVML is not asked from here: on a server of many GPUs it takes long to open.
    chosen = power_sources.choose(power_sources.candidates(gpus=str), on_gpus=False).source
    return None if chosen is None else Request(chosen, str(out))


def drawn(facts: Sequence[Facts], devices: Sequence[str]) -> tuple[Power, ...]:
    """Return what simulated devices draw; empty if no engine reports it.

    Args:
        facts: of each engine, in the order of the workers.
        devices: of each engine, in the same order.
    """
    workers: dict[str, list[int]] = {}
    for worker, (fact, device) in enumerate(zip(facts, devices, strict=True)):
        if "power_w" in fact:
            workers.setdefault(device, []).append(worker)
    return tuple(
        Power(device, tuple(those), _watts(facts, those, "idle_w"), _watts(facts, those, "power_w"))
        for device, those in workers.items()
    )


def _watts(facts: Sequence[Facts], workers: Sequence[int], name: str) -> float:
    value = facts[workers[0]].get(name, 0.0)
    assert isinstance(value, int | float), "the backend checked its options"
    return float(value)


def _row(device: str, reading: Reading, start_ns: int) -> tuple[object, ...]:
    bits = reading.throttle
    return (
        f"{(reading.at_ns - start_ns) / 1e9:.4f}",
        device,
        *(_cell(getattr(reading, name)) for name in COLUMNS[2:8]),
        *(("", "") if bits is None else (f"{bits:#x}", reasons.words(bits))),
        _cell(reading.energy_j),
        *(_cell(getattr(reading, name)) for name in COLUMNS[11:]),
    )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _seen(sampled: Log, window: Window | None, samples: int, *, ended: bool = True) -> Seen:
    by_device = (
        {}
        if window is None
        else {
            device: figures(readings, window, sampled.facts[device].name)
            for device, readings in sampled.readings.items()
        }
    )
    found = [
        line
        for device, facts in sampled.facts.items()
        for line in findings(facts, by_device.get(device), sampled.strangers(device))
    ]
    if ended and sampled.cpu_s is None:
        found.append("The sampling of the devices ended early. See run.log for the reason.")
    if window is None:
        return Seen(None, tuple(found))
    telemetry = DeviceTelemetry(
        source=next(iter(sampled.facts.values())).source,
        devices=by_device,
        sampling=_sampling(sampled),
        **total(by_device, sampled.readings, window, samples),
    )
    held = {device: held_back(readings) for device, readings in sampled.readings.items()}
    return Seen(telemetry, tuple(found), held)


def _sampling(sampled: Log) -> Sampling:
    took_us = sorted(r.took_ns / 1e3 for rs in sampled.readings.values() for r in rs)
    return Sampling(
        period_s=PERIOD_S,
        device_p50_us=took_us[len(took_us) // 2] if took_us else None,
        device_max_us=took_us[-1] if took_us else None,
        cpu_s=sampled.cpu_s,
    )
