"""A model behind HTTP, as Triton's own client and clients of all kinds of ill will see it."""

from __future__ import annotations

import gc
import http.client
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import numpy as np
import pytest

pytest.importorskip("httptools")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from backends.base import TensorSpec
from data.tasks.other import Raw
from sut.base.errors import ConfigError, WorkerError
from sut.config.settings import HarnessSettings, Limits
from sut.config.workload import Model, Workload
from sut.load.http import ServeRequest, Serving
from sut.load.http_server import TimedProtocol, bound
from tests.backends.models import THREE, WORDS, save, three, three_answers
from tests.sut.helpers import own
from tests.sut.helpers.program import run_here
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.base import OptionValue

triton = pytest.importorskip("tritonclient.http")

CAP = 4
MALFORMED = 200
SMALL = TensorSpec("x", (2,), "float32")
INFER = "/v2/models/small/infer"
ONE = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[0,0]}]}'
LENGTH = b"content-length:"
HEAD = f"POST {INFER} HTTP/1.1\r\nContent-Length: {len(ONE)}\r\n".encode()


class Running:
    """A server on a thread of this process."""

    def __init__(self, request: ServeRequest) -> None:
        self.error: Exception | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(request,), daemon=True)

    def _run(self, request: ServeRequest) -> None:
        with bound(request.host, request.port, request.token) as sock:
            self.port: int = sock.getsockname()[1]
            self.serving = Serving(request, lambda _: self._ready.set())
            try:
                self.serving.run(sock)
            except WorkerError as error:
                self.error = error
            self._ready.set()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20)

    def client(self) -> Any:
        return triton.InferenceServerClient(f"localhost:{self.port}")

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        link = http.client.HTTPConnection("localhost", self.port, timeout=10)
        try:
            link.request(method, path, body, headers or {})
            answer = link.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            link.close()

    def waiting(self) -> int:
        """Samples without an answer."""
        return self._metric("pending_request_count")

    def held_bytes(self, headers: dict[str, str] | None = None) -> int:
        """Bytes of requests without an answer."""
        page = self.ask("GET", "/metrics", headers=headers)[1].decode()
        (line,) = (x for x in page.splitlines() if x.startswith("sut_held_bytes{"))
        return int(line.split()[-1])

    def counted(self, what: str) -> int:
        """Requests that ended so."""
        return self._metric(f"request_{what}")

    def hangs_for_s(self) -> float:
        """How long the oldest batch has been on its device."""
        since_ns = self.serving.front.waiting_since_ns
        return 0.0 if since_ns is None else (time.monotonic_ns() - since_ns) / 1e9

    def _metric(self, name: str) -> int:
        page = self.ask("GET", "/metrics")[1].decode()
        (line,) = (x for x in page.splitlines() if x.startswith(f"nv_inference_{name}{{"))
        return int(line.split()[-1])

    def ended(self) -> Exception | None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.error

    def stop(self) -> None:
        if self._thread.is_alive():
            self.serving.stop()
        self.ended()


@contextmanager
def running(request: ServeRequest) -> Iterator[Running]:
    server = Running(request)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def harness(backend: str, cap: int, options: dict[str, OptionValue]) -> HarnessSettings:
    return HarnessSettings(backend, "thread", ("cpu",), 1, cap, "late", 1, backend_options=options)


def of_model(folder: Path) -> ServeRequest:
    """Return a server of the model of three inputs on ONNX Runtime."""
    model = Model(save(three(), folder), "", "made")
    workload = Workload("three", "three", model, THREE, None, Raw(), 8)
    return ServeRequest(workload, harness("onnxruntime", CAP, {"intra_op_threads": 1}), port=0)


def of_null(cap: int = CAP, **options: OptionValue) -> ServeRequest:
    """Return a server of the null backend."""
    workload = Workload("small", "small", None, (SMALL,), None, Raw(), 8)
    return ServeRequest(workload, harness("null", cap, options), port=0)


def of_simulated(**options: OptionValue) -> ServeRequest:
    """Return a server of a simulated device that takes one sample at a time."""
    return replace(of_null(), harness=harness("simulated", 1, options))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(of_model(tmp_path_factory.mktemp("model"))) as server:
        yield server


def samples(count: int, seed: int = 0) -> dict[str, Any]:
    """Return arrays for the model of three inputs."""
    noise = np.random.default_rng(seed)
    return {
        "ids": noise.integers(0, WORDS, (count, 6)),
        "mask": noise.random((count, 6)) < 0.5,
        "values": noise.integers(-4, 5, (count, 3, 4)).astype(np.float32),
    }


def infer(client: Any, arrays: dict[str, Any], *, binary: bool = True, **more: Any) -> Any:
    inputs = []
    for name, array in arrays.items():
        kind = {"i": "INT64", "b": "BOOL", "f": "FP32"}[array.dtype.kind]
        given = triton.InferInput(name, list(array.shape), kind)
        given.set_data_from_numpy(array, binary_data=binary)
        inputs.append(given)
    model = "three" if len(arrays) > 1 else "small"
    outputs = [triton.InferRequestedOutput("logits", binary_data=binary)] if not binary else None
    return client.infer(model, inputs, outputs=outputs, **more)


def as_json(arrays: dict[str, Any]) -> bytes:
    kinds = {"ids": "INT64", "mask": "BOOL", "values": "FP32"}
    inputs = [
        {"name": n, "shape": a.shape, "datatype": kinds[n], "data": a.ravel().tolist()}
        for n, a in arrays.items()
    ]
    return msgspec.json.encode({"inputs": inputs})


# Triton's client


def test_tritons_client_reads_health_and_metadata(served: Running) -> None:
    client = served.client()

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("three")
    assert client.is_model_ready("three", "1")
    assert not client.is_model_ready("four")
    assert client.get_server_metadata()["name"] == "loadgen-sut"
    metadata = client.get_model_metadata("three")
    assert metadata["inputs"][0] == {"name": "ids", "datatype": "INT64", "shape": [-1, 6]}
    assert [output["name"] for output in metadata["outputs"]] == ["logits", "best"]
    config = client.get_model_config("three")
    assert (config["max_batch_size"], config["input"][1]["data_type"]) == (CAP, "TYPE_BOOL")
    (indexed,) = client.get_model_repository_index()
    assert indexed == {"name": "three", "version": "1", "state": "READY"}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("count", [1, CAP, CAP + 3])
def test_tritons_client_gets_the_models_own_outputs(
    served: Running, binary: bool, count: int
) -> None:
    arrays = samples(count, seed=count)

    answer = infer(served.client(), arrays, binary=binary, request_id="mine")

    logits, best = three_answers(**arrays)
    np.testing.assert_array_equal(answer.as_numpy("logits"), logits)
    if binary:
        np.testing.assert_array_equal(answer.as_numpy("best"), best)
    assert answer.get_response()["id"] == "mine"


def test_clients_with_requests_of_different_sizes_each_get_their_own_answers(
    served: Running,
) -> None:
    def ask(count: int) -> None:
        client = served.client()
        for seed in range(20):
            arrays = samples(count, seed=100 * count + seed)
            answer = infer(client, arrays)
            np.testing.assert_array_equal(answer.as_numpy("logits"), three_answers(**arrays)[0])

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(ask, count) for count in (1, 3, 6)]:
            done.result(20)


def test_statistics_count_requests_samples_and_batches(served: Running) -> None:
    client = served.client()
    (before,) = client.get_inference_statistics("three")["model_stats"]

    infer(client, samples(2))
    infer(client, samples(CAP + 1))

    (after,) = client.get_inference_statistics()["model_stats"]
    assert after["inference_count"] - before["inference_count"] == 2 + CAP + 1
    assert after["execution_count"] - before["execution_count"] == 3
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        now, then = after["inference_stats"][part], before["inference_stats"][part]
        assert now["count"] - then["count"] == 2
        assert now["ns"] > then["ns"]
    parts = sum(after["inference_stats"][p]["ns"] for p in ("queue", "compute_infer"))
    assert parts <= after["inference_stats"]["success"]["ns"]
    assert (
        sum(b["compute_infer"]["count"] for b in after["batch_stats"]) == (after["execution_count"])
    )
    page = served.ask("GET", "/metrics")[1].decode()
    assert f'nv_inference_count{{model="three",version="1"}} {after["inference_count"]}' in page


@pytest.mark.parametrize(
    ("name", "shape", "kind", "fragment"),
    [
        ("idz", [1, 6], "INT64", 'there is no input "idz"'),
        ("ids", [1, 7], "INT64", "expected [N, 6]"),
        ("ids", [1, 6], "INT32", "INT32; expected INT64"),
    ],
)
def test_tritons_client_is_told_what_does_not_fit(
    served: Running, name: str, shape: list[int], kind: str, fragment: str
) -> None:
    given = triton.InferInput(name, shape, kind)
    given.set_data_from_numpy(np.zeros(shape, np.int64 if kind == "INT64" else np.int32))

    with pytest.raises(triton.InferenceServerException, match=re.escape(fragment)) as raised:
        served.client().infer("three", [given])

    assert raised.value.status() == "400"


def test_what_is_not_supported_is_refused_in_words(served: Running) -> None:
    client = served.client()
    with pytest.raises(triton.InferenceServerException, match="does not support"):
        client.register_system_shared_memory("r", "/r", 8)
    with pytest.raises(triton.InferenceServerException, match="does not support"):
        client.load_model("three")
    with pytest.raises(triton.InferenceServerException, match="compressed"):
        infer(client, samples(1), request_compression_algorithm="gzip")
    with pytest.raises(triton.InferenceServerException, match='no model "four"; this is three'):
        client.infer("four", [])
    with pytest.raises(triton.InferenceServerException, match='no version "2"'):
        client.infer("three", [], model_version="2")


# ill will


def mutated(body: bytes, head: int, noise: random.Random) -> tuple[bytes, dict[str, str]]:
    """Return a request with one thing wrong, which no server could answer."""
    kind = noise.randrange(6)
    length = str(head)
    if kind == 0:  # cut
        body = body[: noise.randrange(len(body))]
    elif kind == 1:  # the JSON ends elsewhere
        length = str(noise.choice([-1, 0, 1, head - 1, len(body) + 1, 10**25]))
    elif kind == 2:  # a letter that belongs to the form of the JSON
        at = noise.choice([k for k, byte in enumerate(body[:head]) if byte in b'{}[]:"'])
        body = body[:at] + bytes([noise.choice(b"\x00\xff;@")]) + body[at + 1 :]
    elif kind == 3:  # a name, a type, a number
        old = noise.choice([b'"ids"', b'"INT64"', b"[2,6]", b'"binary_data_size":96', b'"inputs"'])
        body = body.replace(old, noise.choice([b"null", b'"zzz"', b"[[]]", b"-7"]), 1)
    elif kind == 4:  # more than was said
        body += noise.randbytes(noise.randrange(1, 99))
    else:
        length = noise.choice(["", "x", "1e3", "0x10", "--"])
    return body, {"Inference-Header-Content-Length": length}


@pytest.mark.slow
def test_no_malformed_request_is_answered_or_ends_the_server(served: Running) -> None:
    arrays = samples(2)
    inputs = [
        {"name": n, "shape": a.shape, "datatype": k, "parameters": {"binary_data_size": a.nbytes}}
        for (n, a), k in zip(arrays.items(), ("INT64", "BOOL", "FP32"), strict=True)
    ]
    head = msgspec.json.encode({"inputs": inputs})
    body = head + b"".join(array.tobytes() for array in arrays.values())
    path = "/v2/models/three/infer"
    good = {"Inference-Header-Content-Length": str(len(head))}
    assert served.ask("POST", path, body, good)[0] == 200

    for seed in range(MALFORMED):
        wrong, headers = mutated(body, len(head), random.Random(seed))
        status, said, _ = served.ask("POST", path, wrong, headers)

        assert 400 <= status < 500, (seed, status, said)
        assert b"\n" not in said.strip(), seed
        assert served.ask("POST", path, body, good)[0] == 200


def test_http_itself_may_be_wrong(served: Running) -> None:
    for lines in (
        b"rubbish\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\n: x\r\n\r\n",
    ):
        with socket.create_connection(("localhost", served.port), 5) as sock:
            sock.sendall(lines)
            assert sock.recv(99).startswith(b"HTTP/1.1 4")
    chunked = b"POST /v2/models/three/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with socket.create_connection(("localhost", served.port), 5) as sock:
        sock.sendall(chunked)
        assert sock.recv(99).startswith(b"HTTP/1.1 411")


def test_requests_on_one_connection_are_answered_in_order() -> None:
    """Two at once, then one that asks before it sends its body, then the last."""
    with running(of_null(delay_us=2000, cap=1)) as server:
        with socket.create_connection(("localhost", server.port), 5) as sock:
            answers = sock.makefile("rb")
            two = ONE.replace(b"[1,2]", b"[2,2]").replace(b"[0,0]", b"[0,0,0,0]")
            sized = HEAD.replace(b"%d" % len(ONE), b"%d" % len(two))
            sock.sendall(sized + b"\r\n" + two + HEAD + b"\r\n" + ONE)
            assert [answer_of(answers), answer_of(answers)] == [[2, 1], [1, 1]]
            sock.sendall(HEAD + b"Expect: 100-continue\r\n\r\n")
            assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
            answers.readline()
            sock.sendall(ONE)
            assert answer_of(answers) == [1, 1]
            sock.sendall(HEAD + b"Connection: close\r\n\r\n" + ONE[:20])
            sock.sendall(ONE[20:])
            assert answer_of(answers) == [1, 1]
            assert not answers.read()
        assert server.held_bytes() == 0


def test_connections_that_are_reset_leave_nothing_behind() -> None:
    """Uvicorn's timer of an idle connection held each of them for 75 s."""
    with running(of_null()) as server:

        def connections() -> int:
            found = [thing for thing in gc.get_objects() if type(thing) is TimedProtocol]
            return sum(one.server == ("127.0.0.1", server.port) for one in found)

        for _ in range(3):
            sock = socket.create_connection(("localhost", server.port), 5)
            sock.sendall(HEAD + b"\r\n" + ONE)
            assert sock.recv(99)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        wait_until(lambda: not connections(), "the connections are gone")


def answer_of(answers: BinaryIO) -> list[int]:
    """Read one answer; return the shape of its output."""
    assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
    lengths = [int(line[15:]) for line in iter(answers.readline, b"\r\n") if line[:15] == LENGTH]
    shape: list[int] = msgspec.json.decode(answers.read(*lengths))["outputs"][0]["shape"]
    return shape


def test_slow_clients_are_cut_off_and_large_and_unknown_ones_refused() -> None:
    request = replace(of_null(), body_bytes=300, patience_s=0.2, token="secret")
    with running(request) as server:
        started_s = time.monotonic()
        slow = [socket.create_connection(("localhost", server.port), 10) for _ in range(3)]
        slow[1].sendall(b"POST /v2/models/small/infer HTTP/1.1\r\nContent-")
        slow[2].sendall(HEAD + b"Authorization: Bearer secret\r\n\r\nabc")
        for sock in slow:
            with pytest.raises((ConnectionResetError, AssertionError)):
                assert sock.recv(99), "closed"
            sock.close()
        assert time.monotonic() - started_s < 5
        path, key = "/v2/models/small/infer", {"Authorization": "Bearer secret"}
        assert server.held_bytes(key) == 0
        assert server.ask("POST", path, b"x" * 301, key)[0] == 413
        assert server.ask("POST", path, b"x")[0] == 401
        assert (
            server.ask("GET", "/v2/models/small", headers={"Authorization": "Bearer x"})[0] == 401
        )
        assert server.ask("GET", "/v2/models/small", headers=key)[0] == 200
        assert server.ask("GET", "/v2/health/live")[0] == 200


def test_much_json_is_refused_because_others_would_wait() -> None:
    """Before it is read; binary tensors of the same request are welcome."""
    with running(replace(of_null(output_size=30), json_bytes=400)) as server:
        started_s = time.monotonic()
        with socket.create_connection(("localhost", server.port), 5) as sock:
            sock.sendall(f"POST {INFER} HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n".encode())
            assert sock.recv(9999).startswith(b"HTTP/1.1 413")
        assert time.monotonic() - started_s < 5
        values = np.zeros((60, 2), np.float32)
        answer = infer(server.client(), {"x": values})
        assert answer.as_numpy("zeros").shape == (60, 30)
        with pytest.raises(triton.InferenceServerException, match=r"bytes of JSON.*binary_data"):
            infer(server.client(), {"x": values}, binary=False)
        status, said, _ = server.ask("POST", INFER, ONE)
        assert (status, b"30 numbers; at most 20" in said) == (400, True)


def test_what_was_accepted_is_answered_before_the_server_ends() -> None:
    with running(of_null(delay_us=30_000, cap=1)) as server:
        asked = [socket.create_connection(("localhost", server.port), 10) for _ in range(3)]
        for sock in asked:
            sock.sendall(HEAD + b"\r\n" + ONE)
        wait_until(lambda: server.counted("success") + server.waiting() == len(asked), "accepted")

        server.serving.stop()

        for sock in asked:
            with sock, sock.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
        assert server.ended() is None
        with pytest.raises(ConnectionRefusedError):
            server.ask("GET", "/v2")


@pytest.mark.slow
def test_a_device_that_hangs_fills_the_queue_and_is_given_up() -> None:
    request = replace(
        of_simulated(base_ms=1, hang_at_s=1), queue_samples=2, limits=Limits(close_s=0.1)
    )
    with running(request) as server, ThreadPoolExecutor(2) as pool:

        def ask_until_it_hangs() -> tuple[int, bytes]:
            status, said = 200, b""
            while status == 200:
                status, said, _ = server.ask("POST", INFER, ONE)
            return status, said

        asked = [pool.submit(ask_until_it_hangs) for _ in range(2)]
        wait_until(lambda: server.hangs_for_s() > 0.1 and server.waiting() == 2, "both wait")

        status, said, headers = server.ask("POST", INFER, ONE)
        three = ONE.replace(b"[1,2]", b"[3,2]").replace(b"[0,0]", b"[0,0,0,0,0,0]")

        assert (status, headers["Retry-After"]) == (503, "1")
        assert b"2 samples wait" in said
        assert server.ask("POST", INFER, three)[0] == 413
        server.serving.hang_ns = 1e8
        for done in asked:
            status, said = done.result(10)
            assert status == 500
            assert b"the engine hangs" in said
        assert "hangs" in str(server.ended())


def test_a_server_that_tolerates_loss_goes_on_with_the_engine_that_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = of_simulated(base_ms=1)
    two = replace(request.harness, devices=("0", "1"))
    with running(replace(request, harness=two, tolerate_loss=True)) as server:
        front = server.serving.front

        front.lose(0, "device 0: its engine fell off the bus", "")
        answered = [server.ask("POST", INFER, ONE)[0] for _ in range(4)]

        assert answered == [200] * 4
        assert re.search(rb"sut_lost_workers\{.*\} 1\n", server.ask("GET", "/metrics")[1])
        assert server.serving.front.failure is None
        front.lose(1, "device 1: its engine, too", "")
        assert server.ask("POST", INFER, ONE)[0] in {500, 503}
        assert "No worker is left" in str(server.ended())
    assert "fell off the bus. The server goes on without it." in caplog.text


def test_an_engine_that_fails_answers_500_and_ends_the_server_with_its_device(
    tmp_path: Path,
) -> None:
    with running(of_model(tmp_path)) as server:
        wrong = {**samples(2), "ids": np.full((2, 6), WORDS + 9)}

        status, said, _ = server.ask("POST", "/v2/models/three/infer", as_json(wrong))

        assert status == 500
        assert b"device cpu: batch" in said
        error = server.ended()
    assert isinstance(error, WorkerError)
    assert str(error).startswith("device cpu: batch")
    assert "infer_arrays" in error.worker_traceback


@pytest.mark.parametrize(
    ("host", "port", "fragment"),
    [
        ("0.0.0.0", 0, "needs --token"),
        ("no.such.host.invalid", 0, "--host no.such.host.invalid"),
        ("127.0.0.1", 70_000, "--port 70000"),
    ],
)
def test_an_address_that_cannot_be_or_should_not_be_is_refused(
    host: str, port: int, fragment: str
) -> None:
    with pytest.raises(ConfigError, match=fragment):
        bound(host, port, None)


@pytest.mark.slow
def test_the_command_serves_until_a_signal_and_ends_with_0(tmp_path: Path) -> None:
    benchmark = own.write_yaml(tmp_path / "own.yaml")
    words = ("serve", "-b", benchmark, "--backend", "null", "--port", "0", "--json")
    with subprocess.Popen(
        [sys.executable, "-m", "sut", *map(str, words)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = msgspec.json.decode(process.stdout.readline())["serving"]
        host = address.removeprefix("http://").split("/")[0]
        assert triton.InferenceServerClient(host).is_model_ready("own")

        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("option", "value", "fragment"),
    [
        ("--max-body-mb", "0", "--max-body-mb is 0"),
        ("--max-json-mb", "-1", "--max-json-mb is -1"),
        ("--client-timeout-s", "nan", "--client-timeout-s is nan"),
        ("--token", "a b", "--token is empty or has spaces"),
        ("--token", "@no.such.file", "no.such.file is not a file"),
        ("--host", "0.0.0.0", "needs --token"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, option: str, value: str, fragment: str) -> None:
    benchmark = own.write_yaml(tmp_path / "own.yaml")

    done = run_here("serve", "-b", benchmark, "--backend", "null", option, value)

    assert (done.code, done.out) == (2, "")
    assert fragment in done.err
    assert done.err.count("\n") == 1
