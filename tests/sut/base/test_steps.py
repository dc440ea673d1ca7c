"""Steps of a long call, and who hears them."""

from __future__ import annotations

import threading

from sut.base.steps import heard_by, listener, named, say_step


def test_a_step_is_heard_by_the_innermost_listener() -> None:
    outer: list[str] = []
    inner: list[str] = []

    say_step("nobody listens")
    with heard_by(outer.append):
        say_step("loading")
        with heard_by(named(inner.append, "device 1")):
            say_step("compiling 1 of 2")
        say_step("done")
    say_step("nobody listens any more")

    assert outer == ["loading", "done"]
    assert inner == ["device 1: compiling 1 of 2"]
    assert listener() is None
    assert named(None, "device 1") is None


def test_another_thread_is_heard_once_it_was_handed_the_listener() -> None:
    heard: list[str] = []

    def work(text: str) -> None:
        say_step(text)

    with heard_by(heard.append):
        hear = listener()
        thread = threading.Thread(target=work, args=("unheard",))
        thread.start()
        thread.join()

    def handed() -> None:
        with heard_by(hear):
            work("heard")

    thread = threading.Thread(target=handed)
    thread.start()
    thread.join()
    assert heard == ["heard"]
