"""A result of a play in words, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SMALL_MS = 0.005  # shorter parts are not shown


def lines(result: Mapping[str, Any]) -> list[str]:
    """Return the result as lines: streams, latency, stages, parts, findings."""
    figures = result["figures"]
    several = "" if figures["streams"] == 1 else "s"
    found = [
        f"{figures['streams']} stream{several}, {figures['fps']:.1f} frames/s in all; a stream "
        f"{figures['fps_per_stream_mean']:.2f} on average, the worst "
        f"{figures['fps_per_stream_worst']:.2f}, p5 {figures['fps_per_stream_p5']:.2f}",
        _latency(figures),
        f"frames: {figures['decoded']} decoded, {figures['inferred']} inferred, "
        f"{figures['delivered']} delivered, {figures['dropped']} dropped",
        *_stages(figures["stages"], result["stages"]),
        _parts(figures["parts_ms"]),
        _machine(figures),
        *_accuracy(result),
    ]
    if result["simulated"]:
        found.append("SIMULATED: a stage only takes time; its answers mean nothing.")
    found += [f"! {line}" for line in result["findings"]]
    return found


def _latency(figures: Mapping[str, Any]) -> str:
    if figures["latency_p50_ms"] is None:
        return "latency from the due time: no frame came through"
    return (
        f"latency from the due time: p50 {figures['latency_p50_ms']:.1f} ms, "
        f"p90 {figures['latency_p90_ms']:.1f} ms, p99 {figures['latency_p99_ms']:.1f} ms"
    )


def _stages(figures: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} ({facts[name]['backend']} on {','.join(facts[name]['devices'])}): "
        f"{each['samples_per_s']:.1f} samples/s, batches of {each['batch_mean']:.2f} "
        f"({each['batch_fill']:.0%} full), busy {each['utilisation']:.0%}"
        for name, each in figures.items()
    ]


def _parts(parts: Mapping[str, Mapping[str, float]]) -> str:
    shown = [
        f"{name} {part['mean']:.2f}" for name, part in parts.items() if part["mean"] > _SMALL_MS
    ]
    return f"a frame's time, mean ms: {', '.join(shown) or 'none'}"


def _machine(figures: Mapping[str, Any]) -> str:
    parts: Sequence[str | None] = [
        f"{figures['cpu_cores']:.2f} CPU cores",
        _interpreter(figures),
        _unit(figures.get("memory_bytes"), 1e-6, "MB"),
        _unit(figures.get("power_w"), 1, "W"),
        _unit(figures.get("energy_j_per_frame"), 1, "J a frame"),
        _unit(figures.get("utilisation_percent"), 1, "% GPU"),
        _unit(figures.get("decoder_percent"), 1, "% decoder"),
        _unit(figures.get("encoder_percent"), 1, "% encoder"),
    ]
    return ", ".join(part for part in parts if part is not None)


def _interpreter(figures: Mapping[str, Any]) -> str | None:
    share = figures.get("interpreter_share")
    return (
        None if share is None else f"Python's interpreter found taken in {share:.0%} of the looks"
    )


def _accuracy(result: Mapping[str, Any]) -> list[str]:
    if "accuracy" not in result:
        return []
    found = result["accuracy"]
    if found is None:
        return ["accuracy: the truth holds no object, so there is nothing to judge"]
    words = f"accuracy: mAP {found['map']:.4f}"
    tracks = found["tracks"]
    if tracks is None:
        return [f"{words}; no box has an identity, so HOTA, IDF1 and MOTA say nothing"]
    return [
        f"{words}, HOTA {tracks['hota']:.4f}, IDF1 {tracks['idf1']:.4f}, MOTA {tracks['mota']:.4f} "
        f"({tracks['switches']} switches, {tracks['misses']} misses, {tracks['false_boxes']} false "
        f"boxes; {tracks['true_boxes']} true ones in {tracks['frames']} frames)"
    ]


def _unit(value: float | None, factor: float, unit: str) -> str | None:
    return None if value is None else f"{value * factor:.4g} {unit}"
