"""Decoder, encoder and GPU of a play: from a stand-in of NVML to figures and the bottleneck."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sut.record.trace import Window
from sut.telemetry import log
from sut.telemetry.log import Line
from sut.telemetry.nvml import Nvml, NvmlMeter
from sut.telemetry.recorder import RAW_FILE, Recorder
from sut.video.bottleneck import bottleneck
from sut.video.devices import device_figures
from sut.video.run import sampled
from sut.video.sources.choose import Decoding
from tests.sut.telemetry.fake_nvml import MIB, FakeNvml
from tests.sut.video.made import detect, plans, write_pipeline
from tests.sut.video.test_hold import figures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sut.telemetry.meter import Reading
    from sut.telemetry.recorder import Seen

S = 1_000_000_000
NVDEC = Decoding("nvdec", device=1)
BUSY = {"nvmlDeviceGetDecoderUtilization": [97, 167_000]}


def meter(device: int, **changes: object) -> NvmlMeter:
    return NvmlMeter(Nvml(FakeNvml(**changes)), device, str(device))


def seen(folder: Path, meters: Sequence[NvmlMeter], until_s: float = 3.0) -> Seen:
    """Return what a recorder says of the first two seconds while its sampler goes on."""
    with (folder / RAW_FILE).open("wb") as file:
        log.write(file, [Line(m.device, facts=m.facts()) for m in meters])
        for tenth in range(round(10 * until_s)):
            readings: list[tuple[str, Reading]] = [(m.device, m.sample()) for m in meters]
            at_ns = tenth * S // 10
            log.write(file, [Line(d, reading=replace(r, at_ns=at_ns)) for d, r in readings])
    return Recorder("tensorrt", [m.device for m in meters], folder).so_far(Window(0, 2 * S), 60)


def told(folder: Path, meters: Sequence[NvmlMeter], decoding: Decoding = NVDEC) -> dict[str, Any]:
    found = seen(folder, meters).telemetry
    assert found is not None
    return device_figures(found, decoding)


def test_nvml_tells_decoder_and_encoder_apart_from_the_kernels() -> None:
    reading = meter(0, **BUSY, nvmlDeviceGetEncoderUtilization=[3, 167_000]).sample()

    assert (reading.decoder_percent, reading.encoder_percent) == (97, 3)
    assert reading.utilisation_percent == 98


def test_a_gpu_without_a_decoder_tells_none_and_no_zero(tmp_path: Path) -> None:
    reading = meter(0).sample()
    found = told(tmp_path, [meter(1)])

    assert (reading.decoder_percent, reading.encoder_percent) == (None, None)
    assert not {"decoder_percent", "encoder_percent", "decoder_share"} & set(found)
    assert found["utilisation_percent"] == 98


def test_an_idle_decoder_is_zero_and_not_absent(tmp_path: Path) -> None:
    found = told(tmp_path, [meter(1, nvmlDeviceGetDecoderUtilization=[0, 167_000])])

    assert (found["decoder_percent"], found["decoder_share"]) == (0, 0)


def test_the_busiest_gpu_is_in_the_figures_and_the_streams_own_decoder_in_the_share(
    tmp_path: Path,
) -> None:
    other = {"nvmlDeviceGetDecoderUtilization": [40, 1], "nvmlDeviceGetEncoderUtilization": [5, 1]}
    meters = [meter(0, **BUSY), meter(1, **other)]

    found = told(tmp_path, meters)

    assert (found["decoder_percent"], found["encoder_percent"]) == (97, 5)
    assert found["decoder_share"] == pytest.approx(0.4)
    assert found["device_memory_bytes"] == 900 * MIB
    assert found["power_w"] == pytest.approx(2 * 69.5)
    assert "decoder_share" not in told(tmp_path, meters, Decoding("cpu", device=1))


def test_a_window_ends_before_the_sampler_does(tmp_path: Path) -> None:
    found = seen(tmp_path, [meter(1, **BUSY)])

    assert found.telemetry is not None
    assert found.telemetry.devices["1"].readings == 21
    assert not [line for line in found.findings if "ended early" in line]
    assert (tmp_path / RAW_FILE).is_file()


def test_a_sampler_that_never_began_tells_nothing_at_once(tmp_path: Path) -> None:
    began_s = time.monotonic()

    assert Recorder("tensorrt", ["0"], tmp_path).so_far(Window(0, S), 1).telemetry is None
    assert time.monotonic() - began_s < 0.4


def test_a_busy_decoder_of_the_gpu_is_named_though_its_readers_wait() -> None:
    found = bottleneck(figures(reader_share=0.2, decoder_share=0.97), cores=4)

    assert found.label == "decode"
    assert "the GPU's decoder busy 97%" in found.evidence


def test_where_the_decoder_is_not_known_the_evidence_does_not_name_it() -> None:
    found = bottleneck(figures(see=0.9), cores=4)

    assert found.label == "inference: see"
    assert not [line for line in found.evidence if "decoder" in line]


def test_the_gpu_that_decodes_is_sampled_beside_those_that_infer(tmp_path: Path) -> None:
    plan = plans(write_pipeline(tmp_path, [detect()]))

    assert sampled(plan, Decoding()) == ("onnxruntime", ["cpu"])
    assert sampled(plan, NVDEC) == ("onnxruntime", ["cpu", "1"])
