"""What devices reported during a play, as figures. Pure: it asks no device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from sut.record.device_telemetry import DeviceTelemetry
    from sut.video.sources.choose import Decoding

_PERCENT = ("utilisation_percent", "decoder_percent", "encoder_percent")


def device_figures(seen: DeviceTelemetry, decoding: Decoding) -> dict[str, object]:
    """Return figures by name; what no device tells is absent, never 0.

    Percentages are means of the window, of the device with the highest: it is the one that stops
    more streams. `decoder_share` is the busy share of the decoder that these streams use.

    Args:
        seen: of the window.
        decoding: of the streams.
    """
    found: dict[str, object] = {
        "power_w": seen.average_power_w,
        "energy_j_per_frame": seen.energy_per_sample_j,
        "device_telemetry": msgspec.to_builtins(seen),
    }
    for name in _PERCENT:
        spans = [getattr(device, name) for device in seen.devices.values()]
        known = [span.mean for span in spans if span is not None]
        if known:
            found[name] = max(known)
    memory = seen.most("memory_used_bytes")
    if memory is not None:
        found["device_memory_bytes"] = memory
    decoder = seen.devices.get(str(decoding.device)) if decoding.decode == "nvdec" else None
    if decoder is not None and decoder.decoder_percent is not None:
        found["decoder_share"] = decoder.decoder_percent.mean / 100
    return found
