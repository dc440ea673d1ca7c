"""The page that compares published rates with the queue model and the tuner's search."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from sut.tuner.learning import usual_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.published.judge import Judgement
    from tests.published.pairs import Pair

NEAR = 0.05
# What the confidence of 95 % costs before the first run; see sut.tuner.learning.usual_room.
ROOM = math.expm1(usual_room(0.95))

HEAD = Path(__file__).with_suffix(".md")


def page(found: Sequence[tuple[Pair, str, Judgement]]) -> str:
    """Return the page for pairs with the kind of their fit."""
    model = [j.model_qps / pair.qps for pair, _, j in found]
    tuned = [j.tuned_qps / pair.qps for pair, _, j in found]
    gains = sorted(j.tuned_qps / j.model_qps - 1 for _, _, j in found)
    near = sum(abs(share - 1) <= NEAR for share in model)
    above = sum(share >= 1 for share in tuned)
    kinds = Counter(kind for _, kind, _ in found)
    head = HEAD.read_text(encoding="utf-8").format(
        rows=len(found),
        systems=len({pair.system for pair, _, _ in found}),
        near=near,
        near_share=near / len(found),
        above=above,
        above_share=above / len(found),
        lowest=min(tuned),
        above_bare=sum(share * (1 + ROOM) >= 1 for share in tuned),
        gain=gains[len(gains) // 2],
        **{kind: kinds[kind] for kind in ("line", "bent", "server", "loose")},
    )
    return head + "".join(map(_row, found))


def _row(one: tuple[Pair, str, Judgement]) -> str:
    pair, kind, judged = one
    chosen = judged.candidate
    delay = chosen.max_queue_delay_us
    words = "late" if isinstance(delay, str) else f"{delay / 1e3:g} ms"
    return (
        f"| {pair.system} | {pair.benchmark} | {kind} | {pair.qps:,.0f} | {pair.p99_ms:.1f} of "
        f"{pair.bound.limit_ms:g} | {judged.model_qps / pair.qps:.3f} | "
        f"{judged.tuned_qps / pair.qps:.3f} | batch {chosen.max_batch_size}, {words} |\n"
    )
