"""What holds an agent in a place, with commands that act like one; without Ray."""

from __future__ import annotations

import sys

from sut.serve.cluster.placing.holder import Holder

PATIENCE_S = 20.0


def python(text: str) -> list[str]:
    return [sys.executable, "-u", "-c", text, "{listen}"]


def test_it_says_where_the_agent_listens_and_how_it_ended() -> None:
    holder = Holder()
    script = "import sys; print('node a: listens at', sys.argv[1]); print('bye'); sys.exit(3)"

    told = holder.start(python(script), "127.0.0.1:7", PATIENCE_S)

    assert (told["address"], told["host"]) == ("127.0.0.1:7", "127.0.0.1")
    assert holder.wait_end(PATIENCE_S) == "it ended with exit code 3 and said last: bye"


def test_an_agent_that_does_not_start_is_an_error_with_its_last_line() -> None:
    told = Holder().start(python("raise SystemExit('sut: no such device')"), "h:7", PATIENCE_S)

    assert told["error"] == "it ended with exit code 1 and said last: sut: no such device"


def test_an_agent_that_never_listens_is_ended() -> None:
    holder = Holder()

    told = holder.start(python("import time; time.sleep(60)"), "h:7", 0.1)

    assert told["error"] == "it does not listen after 0.1 s"
    assert holder.wait_end(0.0) == "it ended with signal SIGTERM and said last: nothing"


def test_a_program_that_is_not_there_is_named() -> None:
    assert Holder().start(["/none"], "h:7", 1.0)["error"] == "/none: No such file or directory"
