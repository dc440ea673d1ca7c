"""Modules that run in a process of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base import subprocess_call
from sut.base.ticker import ticking

if TYPE_CHECKING:
    import pytest


def test_a_long_call_says_for_how_long_and_returns_its_answer() -> None:
    said: list[str] = []

    with ticking("working", said.append, every_s=0.005):
        answer = subprocess_call.run_module("this", b"", "reading")  # Python starts in some 20 ms

    assert answer.startswith(b"The Zen of Python")
    assert "reading: 0 s" in said


def test_a_short_call_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    subprocess_call.run_module("this", b"", "reading")

    assert capsys.readouterr().err == ""
