"""Carries questions from a search to whoever can answer them, and the answers back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sut.tuner.messages import Answer, Ask, Reply, Search


def drive(search: Search, answer: Callable[[Ask], Reply]) -> Answer:
    """Run a search to its end; whatever `answer` raises ends it."""
    try:
        ask = next(search)
        while True:
            ask = search.send(answer(ask))
    except StopIteration as end:
        found: Answer = end.value
        return found
