from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from data.download import Expected, Patience, download
from data.model import resolve_model
from sut.base.errors import ConfigError, DataError
from tests.data.conftest import MakeBenchmark, write_onnx

CONTENT = bytes(i * 7 % 251 for i in range(700_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT. A script says, one word a request, how it misbehaves; then it behaves.

    Attributes:
        script: "cut" ends a reply early, "shift" sends another range, a number is an HTTP status.
        ranges: whether it knows the header Range.
        asked: the Range of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[str] = []
        self.ranges = True
        self.content = CONTENT
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        word = server.script.pop(0) if server.script else "whole"
        if word.isdigit():
            self.send_error(int(word))
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if not server.ranges:
            start = 0
        if word == "shift":
            start += 1
        size = len(server.content)
        if asked and server.ranges and start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if word == "cut" else body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Pauses(list[float]):
    """Remembers each pause instead of waiting."""

    __call__ = list.append


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "weights.bin"


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_arrives_whole(server: Server, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    path = download(
        server.url,
        target,
        Expected(sha256=SHA256, md5=MD5, size_bytes=len(CONTENT)),
        progress=lambda done, total: seen.append((done, total)),
    )

    assert path == target
    assert target.read_bytes() == CONTENT
    assert left(target) == ["weights.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_cut_connection_is_resumed_where_it_broke_off(server: Server, target: Path) -> None:
    server.script = ["cut", "cut"]
    pauses = Pauses()

    download(server.url, target, Expected(sha256=SHA256), Patience(pause=pauses))

    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=350000-", "bytes=525000-"]
    assert pauses == [0.0, 0.0]


def test_another_call_goes_on_with_the_part(server: Server, target: Path) -> None:
    server.script = ["cut", "503", "503"]
    with pytest.raises(DataError, match="HTTP 503"):
        download(server.url, target, Expected(sha256=SHA256), Patience(attempts=2, pause=Pauses()))
    assert left(target) == ["weights.bin.part"]

    download(server.url, target, Expected(sha256=SHA256))

    assert target.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=350000-"


def test_a_server_without_ranges_sends_it_all_again(server: Server, target: Path) -> None:
    server.ranges = False
    server.script = ["cut"]

    download(server.url, target, Expected(sha256=SHA256), Patience(pause=Pauses()))

    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=350000-"]


def test_a_server_that_sends_another_range_is_asked_again(server: Server, target: Path) -> None:
    server.script = ["cut", "shift"]

    download(server.url, target, Expected(sha256=SHA256), Patience(pause=Pauses()))

    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=350000-", None]


@pytest.mark.parametrize("wrong", [Expected(sha256="0" * 64), Expected(md5="0" * 32)])
def test_a_wrong_checksum_keeps_nothing(server: Server, target: Path, wrong: Expected) -> None:
    with pytest.raises(DataError, match=r"(sha256|md5) is .*0000"):
        download(server.url, target, wrong)

    assert left(target) == []


@pytest.mark.parametrize("size_bytes", [10, len(CONTENT) + 1])
def test_a_wrong_size_keeps_nothing(server: Server, target: Path, size_bytes: int) -> None:
    with pytest.raises(DataError, match=f"bytes; expected {size_bytes}. The download was deleted"):
        download(server.url, target, Expected(sha256=SHA256, size_bytes=size_bytes))

    assert left(target) == []


def test_a_file_that_is_not_there_is_not_asked_for_twice(server: Server, target: Path) -> None:
    server.script = ["404"]

    with pytest.raises(DataError, match=r"weights\.bin: HTTP 404"):
        download(server.url, target, Expected(sha256=SHA256))

    assert len(server.asked) == 1
    assert left(target) == []


def test_passing_trouble_is_waited_out(server: Server, target: Path) -> None:
    server.script = ["503", "429", "500"]
    pauses = Pauses()

    download(server.url, target, Expected(sha256=SHA256), Patience(pause=pauses))

    assert target.read_bytes() == CONTENT
    assert pauses == [1.0, 3.0, 7.0]


def test_a_right_file_is_not_fetched_again(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)

    download(server.url, target, Expected(md5=MD5))

    assert server.asked == []


def test_a_wrong_file_is_fetched_again(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1] + b"x")

    download(server.url, target, Expected(sha256=SHA256))

    assert target.read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("weights.bin.part").write_bytes(CONTENT)

    download(server.url, target, Expected(sha256=SHA256))

    assert target.read_bytes() == CONTENT
    assert left(target) == ["weights.bin"]


def test_a_part_longer_than_the_file_is_dropped(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("weights.bin.part").write_bytes(CONTENT + b"more")

    download(server.url, target, Expected(sha256=SHA256), Patience(pause=Pauses()))

    assert target.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_part_of_another_file_is_found_by_the_checksum(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("weights.bin.part").write_bytes(b"something else")

    with pytest.raises(DataError, match="The download was deleted"):
        download(server.url, target, Expected(sha256=SHA256))
    download(server.url, target, Expected(sha256=SHA256))

    assert target.read_bytes() == CONTENT


def test_published_weights_are_downloaded_once(
    server: Server, make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    server.content = write_onnx(tmp_path / "weights.onnx").read_bytes()
    md5 = hashlib.md5(server.content, usedforsecurity=False).hexdigest()
    benchmark = make_benchmark(models=[{"kind": "url", "url": server.url, "md5": md5}])

    model = resolve_model(benchmark, None, tmp_path / "cache")

    assert model == resolve_model(benchmark, None, tmp_path / "cache")
    assert model.path.read_bytes() == server.content
    assert model.origin == server.url
    assert len(server.asked) == 1


def test_an_unreachable_server_is_named(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Server() as unused:
        url = unused.url
    pauses = Pauses()

    with pytest.raises(DataError, match=rf"{url}: [^<]*3 attempts[^<]*--model FILE"):
        download(url, target, Expected(sha256=SHA256), Patience(attempts=3, pause=pauses))

    assert len(pauses) == 2
    assert [record.message.rpartition("; ")[2] for record in caplog.records] == ["trying again"] * 2


def test_what_cannot_be_checked_is_not_fetched(target: Path) -> None:
    with pytest.raises(ConfigError, match="has no checksum"):
        download("http://127.0.0.1:1/x", target, Expected())
    with pytest.raises(ConfigError, match="https URL"):
        download("file:///etc/passwd", target, Expected(md5=MD5))
