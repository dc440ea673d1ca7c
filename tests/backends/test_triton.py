"""The triton backend: the contract, against `sut serve` in another process, and its refusals."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.base import CountingEngine, EngineSpec, TensorSpec, open_engine
from backends.triton.connection import Times
from backends.triton.parts import ClientParts
from backends.triton.remote import Duration, Parts
from sut.base.errors import BatchTooLarge, ConfigError, EngineError
from sut.record.client_parts import client_parts
from tests.backends.conformance import SlotsTestCase, make_samples
from tests.backends.models import SHAPE, linear, linear_answers, save
from tests.sut.helpers import own

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backends.base import Array, Arrays, OptionValue

pytest.importorskip("httptools")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

CAP = 6
INPUT = TensorSpec("x", SHAPE, "float32")
MS = 1_000_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the linear model from another process; HOST:PORT."""
    folder = tmp_path_factory.mktemp("served")
    save(linear(), folder)
    shape = {"name": "x", "shape": list(SHAPE), "dtype": "float32"}
    benchmark = own.write_yaml(
        folder / "own.yaml",
        input=shape,
        preprocess=None,
        dataset={"kind": "synthetic", "count": 12},
        rounds=None,
    )
    words = ("serve", "-b", benchmark, "--port", 0, "--max-batch-size", CAP, "--json")
    more = ("--token", "secret", "--set", "intra_op_threads=1")
    with subprocess.Popen(
        [sys.executable, "-m", "sut", *map(str, (*words, *more))], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["serving"].split("/")[2]
        process.terminate()


def spec_of(address: str, **changes: OptionValue) -> EngineSpec:
    options: dict[str, OptionValue] = {"url": address, "model": "own", "token": "secret", **changes}
    return EngineSpec("triton", None, (INPUT,), "logits", CAP, options=options, slots=2)


def refusal(spec: EngineSpec) -> str:
    with pytest.raises(EngineError) as caught:
        open_engine(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestContract(SlotsTestCase):
    @pytest.fixture
    def spec(self, address: str) -> EngineSpec:
        return spec_of(address)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return linear_answers(samples["x"])


def test_the_facts_name_the_server_and_what_runs_the_model(address: str) -> None:
    engine = open_engine(spec_of(f"http://{address}/"))

    assert engine.facts["provider"] == f"http://{address}, loadgen-sut 0.1.0, onnxruntime"
    assert engine.facts["server_max_batch_size"] == CAP
    assert engine.facts["simulated"] is False
    engine.close()


def test_a_model_that_is_not_there_or_does_not_fit_is_one_line(address: str) -> None:
    spec = spec_of(address)

    assert 'no model "other"' in refusal(spec_of(address, model="other"))
    assert "401" in refusal(spec_of(address, token="wrong"))
    wrong = replace(spec, inputs=(TensorSpec("x", (2, 3, 5), "float32"),))
    assert re.search(r'input "x" takes \[\?, 2, 3, 4\] float32.* \[N, 2, 3, 5\]', refusal(wrong))
    assert "takes float32, but the benchmark feeds int8" in refusal(
        replace(spec, inputs=(TensorSpec("x", SHAPE, "int8"),))
    )
    assert 'no output "scores"' in refusal(replace(spec, output_name="scores"))
    with pytest.raises(BatchTooLarge, match="batches of up to 6, but max_batch_size is 7"):
        open_engine(replace(spec, max_batch_size=CAP + 1))


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"model": "m"}, "option url is missing"),
        ({"url": "h:1"}, "option model is missing"),
        ({"url": "ftp://h", "model": "m"}, 'url is "ftp://h"; expected HOST:PORT'),
        ({"url": "h:port", "model": "m"}, 'url is "h:port"'),
        ({"url": "h:1", "model": "m", "token": "@no.such"}, "no.such cannot be read"),
        ({"url": "h:1", "model": "m", "timeout": 3}, 'Did you mean "timeout_s"?'),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, OptionValue], fragment: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fragment)):
        open_engine(EngineSpec("triton", None, (INPUT,), None, 1, options=options))


def test_a_server_that_is_not_there_or_is_another_one_is_one_line() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert "Is the server running, and the option url right?" in refusal(
        spec_of(f"127.0.0.1:{port}")
    )
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as port:
        assert "is no page of the Open Inference Protocol" in refusal(spec_of(f"127.0.0.1:{port}"))


def test_a_silent_server_is_given_up_after_the_time_allowed() -> None:
    with answering(b"") as port:
        said = refusal(spec_of(f"127.0.0.1:{port}", timeout_s=0.1))
    assert "nothing came within 0.1 s, which timeout_s allows" in said


@pytest.mark.slow
def test_a_server_that_dies_is_one_line_and_one_that_comes_back_is_used_again(
    tmp_path: Path,
) -> None:
    from tests.sut.load.test_http import Running, of_null

    request = replace(of_null(), port=0)
    server = Running(request)
    server.start()
    inputs = (TensorSpec("x", (2,), "float32"),)
    options: dict[str, OptionValue] = {"url": f"localhost:{server.port}", "model": "small"}
    spec = EngineSpec("triton", None, inputs, None, 2, options=options)
    engine = open_engine(spec)
    engine.bind(make_samples(spec, seed=1))
    assert engine.facts["simulated"] is True
    engine.infer([0])

    server.stop()

    with pytest.raises(EngineError, match=r"localhost:\d+: .*Is the server running") as caught:
        engine.infer([0])
    assert "\n" not in str(caught.value)
    again = Running(replace(request, port=server.port))
    again.start()
    np.testing.assert_array_equal(engine.infer([1])[0], np.zeros((1, 1), np.float32))
    again.stop()
    engine.close()


def test_the_parts_of_requests_are_counted_anew_after_warm_up(address: str) -> None:
    spec = spec_of(address)
    engine = open_engine(spec)
    assert isinstance(engine, CountingEngine)
    engine.bind(make_samples(spec, seed=1))
    engine.infer([0])
    engine.count_anew()
    for _ in range(5):
        engine.infer([0, 1])

    found = client_parts(engine.counted())

    engine.close()
    assert found is not None
    assert (found.requests, found.server_requests) == (5, 5)
    parts = dict(found.parts())
    assert len(parts) == 7
    total = sum(parts.values())
    # The difference of two clocks' times is no less than 0, by definition.
    others = total - parts["network_server"]
    assert 0 < total == pytest.approx(max(found.request_ns, others))


def test_parts_without_a_servers_counts_are_the_clients_alone() -> None:
    parts = ClientParts()
    parts.add(Times(0, 1 * MS, 5 * MS, 7 * MS))
    parts.add(Times(0, 3 * MS, 5 * MS, 7 * MS))
    before = Parts(Duration(10, 0))
    after = Parts(Duration(14, 0), Duration(14, 4 * MS), compute_infer=Duration(14, 2 * MS))

    alone, counted = client_parts(parts.sums(None, None)), client_parts(parts.sums(before, after))

    assert alone is not None
    assert counted is not None
    assert dict(alone.parts()) == {"send": 2 * MS, "network_server": 3 * MS, "receive": 2 * MS}
    assert alone.request_ns == 7 * MS
    assert (counted.server_queue_ns, counted.server_compute_infer_ns) == (1 * MS, 0.5 * MS)
    assert (counted.network_server_ns, counted.server_requests) == (1.5 * MS, 4)
    assert client_parts({"not_finite": 0.0}) is None


class answering:
    """A server on a port that sends the same bytes to everyone."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __enter__(self) -> int:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        port: int = self._listener.getsockname()[1]
        return port

    def _run(self) -> None:
        sock, _ = self._listener.accept()
        with sock:
            sock.recv(4096)
            sock.sendall(self._data)
            sock.recv(1)  # until the other end closes

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(5)
