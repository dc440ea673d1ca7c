"""Which part of a pipeline held it back: from how busy each was, and from each stage alone.

Pure: it reads figures and asks no machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.video.alone import Ceilings

_BUSY = 0.85  # of its time: more is not to be had beside other threads
_NEAR = 0.8  # of its ceiling alone
_FULL = 0.9  # of the cores, or of a GPU's time
_TAKEN = 0.5  # of the looks; from there on hardly one stream more holds: docs/results/video.md
INTERPRETER, READERS_INTERPRETER, GPU = "interpreter", "readers' interpreter", "GPU"


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What held a play back.

    Attributes:
        label: `decode`, `mux`, `inference: STAGE`, `tracker`, `host`, `interpreter`, `readers'
            interpreter`, `CPU`, or `GPU`.
        evidence: shares of time and of ceilings, each in words.
    """

    label: str
    evidence: tuple[str, ...]


def bottleneck(
    figures: Mapping[str, Any], cores: int, ceilings: Ceilings | None = None
) -> Bottleneck:
    """Return what held a play back.

    A stage whose engines were busy all the time did, unless its batches could have been larger: an
    idle engine takes what is there, so it is busy long before it is full. Else Python's
    interpreter, if threads mostly found it taken while cores were free: whoever waits for it seems
    busy, too. Else the readers or the host threads that were busy; a busy stage on the CPU may wait
    for cores, which the evidence shows. Else a GPU that its driver says was busy: with small
    batches, decoders, or other programs. Where nobody was busy, frames waited for batches to fill,
    or came near the lowest ceiling; else what came nearest to being busy is named.

    Args:
        figures: of the play; see sut.video.figures.
        cores: that the process may use.
        ceilings: of each stage alone; None: they were not measured.
    """
    shares = {
        f"inference: {name}": stage["utilisation"] for name, stage in figures["stages"].items()
    }
    nvdec = figures.get("decoder_share")  # absent: not used, or the GPU does not tell
    shares["decode"] = max(figures["reader_share"], nvdec or 0.0)
    shares[_host_name(figures)] = figures["host_share"]
    evidence = [f"{name} busy {share:.0%}" for name, share in shares.items()]
    for name, stage in figures["stages"].items():
        if not _is_full(stage, figures["streams"]):
            shares.pop(f"inference: {name}")
            evidence.append(f"{name} with batches of {stage['batch_mean']:.1f}")
    if nvdec is not None:
        evidence.append(f"the GPU's decoder busy {nvdec:.0%}")
    around = {
        "CPU": figures["cpu_cores"] / cores,
        GPU: figures.get("utilisation_percent", 0.0) / 100,  # absent: none, or none tells
    }
    if around[GPU]:
        evidence.append(f"GPU busy {around[GPU]:.0%}")
    evidence.append(f"{figures['cpu_cores']:.2f} of {cores} CPU cores")
    if ceilings is not None:
        evidence += [
            f"{name} alone {rate:.1f} frames/s" for name, rate in ceilings.frames_per_s.items()
        ]
    locks = _interpreters(figures)
    evidence += [f"{name} found taken {share:.0%}" for name, share in locks.items()]
    return Bottleneck(_label(figures, shares, around, locks, ceilings), tuple(evidence))


def _label(
    figures: Mapping[str, Any],
    shares: Mapping[str, float],
    around: Mapping[str, float],
    locks: Mapping[str, float],
    ceilings: Ceilings | None,
) -> str:
    """Return what held a play back, of its own parts, the machine around them, and interpreters."""
    busiest = max(shares, key=lambda name: shares[name])
    infers = busiest.startswith("inference") and shares[busiest] >= _BUSY
    taken = max(locks, key=lambda name: locks[name], default="")
    if taken and locks[taken] >= _TAKEN and around["CPU"] < _FULL and not infers:
        return taken
    if shares[busiest] >= _BUSY:
        return busiest
    full = next((name for name, share in around.items() if share >= _FULL), "")
    if full or _waits_for_batches(figures):
        return full or "mux"
    if ceilings is not None and figures["fps"] >= _NEAR * min(ceilings.frames_per_s.values()):
        slowest = ceilings.slowest
        return slowest if slowest == "decode" else f"inference: {slowest}"
    near = {name: share / _BUSY for name, share in shares.items()}
    near |= {name: share / _TAKEN for name, share in locks.items()}
    near |= {name: share / _FULL for name, share in around.items()}
    return max(near, key=lambda name: near[name])


def _is_full(stage: Mapping[str, Any], streams: int) -> bool:
    """Say whether a stage's batches are about as large as so many streams make them."""
    largest = stage["batch_mean"] / stage["batch_fill"] if stage["batch_fill"] else 0.0
    return bool(stage["batch_mean"] >= min(largest, streams) / 2)


def _interpreters(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return how often each interpreter was found taken; see sut.video.flow.interpreter."""
    found = {
        INTERPRETER: figures.get("interpreter_share"),
        READERS_INTERPRETER: figures.get("readers_interpreter_share"),
    }
    return {name: share for name, share in found.items() if share is not None}


def _host_name(figures: Mapping[str, Any]) -> str:
    """Return `tracker` if it is what the host threads do most, else `host`."""
    means = {name: part["mean"] for name, part in figures["parts_ms"].items()}
    own = {name: ms for name, ms in means.items() if name.endswith((" read", "track", "sink"))}
    first = next(iter(figures["stages"]))
    own |= {
        name: ms
        for name, ms in means.items()
        if name.endswith(" prepare") and not name.startswith(first)
    }
    return "tracker" if own and max(own, key=lambda name: own[name]) == "track" else "host"


def _waits_for_batches(figures: Mapping[str, Any]) -> bool:
    """Say whether frames wait for the mux most of their time, though its engine has time."""
    means = {name: part["mean"] for name, part in figures["parts_ms"].items()}
    first = next(iter(figures["stages"]))
    queue = means.get(f"{first} queue", 0.0)
    return bool(queue > sum(means.values()) / 2 and figures["stages"][first]["batch_fill"] < _FULL)
