"""Streams of a real RTSP server on loopback: whole ones to their end, all others by name."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.base.errors import ConfigError, DataError
from sut.video.sources.address import remedy, without_passwords
from sut.video.sources.choose import Decoding, open_sources
from sut.video.sources.clip import Clip

pytest.importorskip("av")
from tests.sut.helpers.rtsp import COUNT, RATE, SIZE, USER, RtspServer, rtsp_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.video.sources.base import Picture, Source

QUICK_S = 0.25  # for a server that answers at once, on a machine that is busy
NOT_LISTENING = "rtsp://127.0.0.1:1/clip"


@pytest.fixture(scope="module")
def server() -> Iterator[RtspServer]:
    with rtsp_server() as found:
        yield found


@dataclass
class Played:
    pictures: list[Picture]
    problem: str = ""


def played(source: Source) -> Played:
    found = Played([])
    try:
        for picture in source.pictures():
            found.pictures.append(picture)
    except DataError as error:
        found.problem = str(error)
    source.close()
    return found


def test_a_stream_comes_over_tcp_with_all_frames_in_order(server: RtspServer) -> None:
    clip = Clip(server.address())
    found = played(clip)

    assert found.problem == ""
    assert (clip.facts.codec, clip.facts.width, clip.facts.height) == ("h264", *SIZE)
    assert (clip.facts.rate, clip.facts.live, clip.notes) == (RATE, True, [])
    assert "SETUP RTP/AVP/TCP;unicast;interleaved=0-1" in server.asked
    times = [picture.pts_s for picture in found.pictures]
    np.testing.assert_allclose(times, np.arange(COUNT) / RATE, atol=1e-3)
    came = [picture.came_ns or 0 for picture in found.pictures]
    assert came == sorted(came)
    assert came[0] > 0


def test_the_frames_are_those_that_were_sent(server: RtspServer) -> None:
    clip = Clip(server.address())

    means = [picture.image().mean() for picture in clip.pictures()]

    np.testing.assert_allclose(means, 20 * np.arange(COUNT), atol=4)


@pytest.mark.parametrize(
    ("path", "frames", "problem"),
    [
        ("leaves", 2, "the server went away after 0.40 of 2.00 s, 2 frames. See its log"),
        ("camera", COUNT, f"the server ended the stream after frame {COUNT}, and had not said"),
        ("stalls", 2, f"it stalls: no frame for {QUICK_S:g} s. See its sender, or raise --stall-s"),
    ],
)
def test_a_stream_that_ends_early_keeps_its_frames_and_names_the_end(
    server: RtspServer, path: str, frames: int, problem: str
) -> None:
    found = played(Clip(server.address(path), stall_s=QUICK_S if path == "stalls" else 10.0))

    assert len(found.pictures) == frames
    assert found.problem.startswith(f"{server.address(path)}: {problem}")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("401", "401 Unauthorized (authorization failed). Put user and password into the address"),
        ("404", "404 Not Found. The server has no such stream: correct the path"),
        ("mute", f"no answer for {QUICK_S:g} s. Look at the server and the network"),
    ],
)
def test_an_address_that_is_refused_says_what_to_do(
    server: RtspServer, path: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Clip(server.address(path), stall_s=QUICK_S if path == "mute" else 10.0)

    assert str(caught.value).startswith(f"--source {server.address(path)}: ")
    assert words in str(caught.value)


def test_where_nobody_listens_the_message_says_so() -> None:
    with pytest.raises(ConfigError, match=r"Connection refused\. Nobody listens there"):
        Clip(NOT_LISTENING)


def test_a_password_opens_a_stream_and_is_shown_nowhere(server: RtspServer) -> None:
    right, wrong = server.address("locked", USER), server.address("404", USER)

    clip = Clip(right)
    found = played(clip)
    with pytest.raises(ConfigError) as caught:
        Clip(wrong)

    assert len(found.pictures) == COUNT
    assert clip.facts.name == server.address("locked", "guard:***")
    assert "guard:***@" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run p --source rtsp://a:b@c@h:554/1 -x", "run p --source rtsp://a:***@h:554/1 -x"),
        ("rtsp://u:p@h/1 http://v:q@i/2", "rtsp://u:***@h/1 http://v:***@i/2"),
        ("rtsp://user@host:554/a@b", "rtsp://user@host:554/a@b"),
        ("clips/a:b@c.mp4", "clips/a:b@c.mp4"),
    ],
)
def test_passwords_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


def test_words_without_a_remedy_of_their_own_get_a_general_one() -> None:
    assert remedy("Protocol not found") == "Try the address with ffprobe."


def test_addresses_that_cannot_be_opened_are_streams_that_end_at_once(server: RtspServer) -> None:
    how = Decoding(stall_s=QUICK_S)
    clips = [server.address("404"), server.address(), server.address("mute"), NOT_LISTENING]

    found = [played(source) for source in open_sources(clips, len(clips), how)]

    assert [len(one.pictures) for one in found] == [0, COUNT, 0, 0]
    problems = [one.problem for one in found]
    assert problems[0].startswith(f"{clips[0]}: Server returned 404")
    assert "no answer" in problems[2]
    assert "Connection refused" in problems[3]


def test_if_no_address_can_be_opened_nothing_runs(server: RtspServer) -> None:
    with pytest.raises(ConfigError, match="404 Not Found"):
        open_sources([server.address("404"), NOT_LISTENING], 3, Decoding())


def test_a_bad_file_beside_an_address_ends_the_command(server: RtspServer) -> None:
    with pytest.raises(ConfigError, match=r"absent\.mp4"):
        open_sources([server.address(), "absent.mp4"], 2, Decoding())


def test_the_server_of_these_tests_closes_its_port() -> None:
    with rtsp_server() as gone:
        pass

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gone.port))
