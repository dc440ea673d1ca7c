"""What an error says on a terminal."""

from __future__ import annotations

import os

from sut.base.errors import ConfigError, WorkerError


def test_a_message_cannot_command_the_terminal() -> None:
    name = os.fsdecode(b"a\x1b[31m\r\xe9")

    assert str(ConfigError(f"{name}: no such file")) == "a\\x1b[31m\\r\\udce9: no such file"


def test_other_letters_and_lines_stay() -> None:
    assert str(WorkerError("é 漢\nb", "")) == "é 漢\nb"
