"""`make cluster-demo`: nodes that Ray places on this machine, a run, a node killed in a run.

First on a Ray that `sut cluster up` starts, then on one that was there. Every step says what it
expects, and fails if it is not so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sut.serve.cluster.placing.warden import FOLDER, MODULE, Order, line_of
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Two nodes with a simulated T4 each; Ray counts them as a resource of that name.
NODES = "nodes: [{name: alpha, devices: ['0']}, {name: beta, devices: ['0']}]\n"
OWN = "ray: {placing: spread, resource: t4, resources: {t4: 2}}\n"
THERE = "ray: {address: '127.0.0.1:PORT', placing: packed, resource: t4}\n"
PORT = 6391  # below those of Ray's workers
RUN = ("run", "-b", "resnet50", "--system", "r740_4xt4", "-s", "Offline", "--cluster")
# From the loss of a node to the end of the command.
LOSS_S = 2.0
WAIT_S = 180.0


def main() -> None:
    """Play both acts."""
    print("The samples are random and the devices simulated; the way to them is real.\n")
    folder = Path("runs") / time.strftime("%Y%m%d-%H%M%S-cluster-demo")
    folder.mkdir(parents=True)
    act(folder / "own", NODES + OWN)
    with ray_that_is_there():
        act(folder / "there", NODES + THERE.replace("PORT", str(PORT)))
        expect(answers(PORT), "a Ray of others goes on")
        say(f"the Ray that was there still answers at port {PORT}")
    print(f"All went as expected. Runs and reports: {folder}")


def act(folder: Path, text: str) -> None:
    """Bring a cluster up, run on it, lose a node in a run, run again, bring it down."""
    folder.mkdir()
    file = folder / "cluster.yaml"
    file.write_text(text, encoding="utf-8")
    print(f"--- cluster.yaml:\n{text}")
    try:
        sut("cluster", "up", str(file))
        run(folder / "first", file)
        kill_a_node_in_a_run(folder / "second", file)
        wait_for_all_up(file)
        sut("cluster", "status", str(file))
        run(folder / "third", file)
        sut("report", str(folder / "third"))
        pids = [node["pid"] for node in nodes(file)]
    finally:
        sut("cluster", "down", str(file))
    expect(not any(Path(f"/proc/{pid}").exists() for pid in pids), "no agent is left")


def run(out: Path, file: Path) -> None:
    """Run for two seconds; it must be VALID."""
    sut(*RUN, str(file), "--min-duration-s", "2", "--out", str(out))


def kill_a_node_in_a_run(out: Path, file: Path) -> None:
    """Kill beta's agent in a run of a minute; the run must end at once, and name the node."""
    words = (*RUN, str(file), "--min-duration-s", "60", "--out", str(out))
    process = start(*words, stderr=subprocess.PIPE)
    wait_until(lambda: any(out.rglob("mlperf_log_detail.txt")), "the test has begun")
    time.sleep(1.0)
    beta = nodes(file)[1]["pid"]
    say(f"kill -9 {beta}, which is beta's agent")
    os.kill(beta, signal.SIGKILL)
    killed_s = time.monotonic()
    _, errors = process.communicate(timeout=WAIT_S)
    took_s = time.monotonic() - killed_s
    last = errors.decode().strip().splitlines()[-1]
    say(f"after {took_s:.2f} s the run ended with exit code {process.returncode}: {last}")
    expect(process.returncode == 1, "a run that lost a node fails")
    expect("node beta" in last, "it names the node")
    expect(took_s < LOSS_S, f"it ends within {LOSS_S:g} s")


def wait_for_all_up(file: Path) -> None:
    """Wait until the lost node has been started again."""
    wait_until(lambda: all(node["phase"] == "up" for node in nodes(file)), "beta is up again")
    expect(nodes(file)[1]["restarts"] == 1, "beta was started again once")


def nodes(file: Path) -> list[dict[str, Any]]:
    """Return what `sut cluster status` says of the nodes."""
    command = [sys.executable, "-m", "sut", "cluster", "status", str(file), "--json"]
    said = subprocess.run(command, capture_output=True, check=False).stdout
    found: list[dict[str, Any]] = json.loads(said)["nodes"]
    return found


@contextmanager
def ray_that_is_there() -> Iterator[None]:
    """Start Ray as anybody would, on loopback; a warden ends all of it."""
    say(f"ray start --head on 127.0.0.1:{PORT}")
    order = Order(
        (
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--port", str(PORT), "--resources", '{"t4": 2}', "--temp-dir", FOLDER),
            *("--include-dashboard", "false", "--object-store-memory", str(80 << 20)),
        ),
        {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"},
        tied=True,
    )
    with subprocess.Popen(
        [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as warden:
        assert warden.stdin is not None
        warden.stdin.write(line_of(order))
        warden.stdin.flush()
        wait_until(lambda: answers(PORT), "Ray answers")
        yield


def answers(port: int) -> bool:
    """Return whether somebody listens at a port of this machine."""
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]
    )


def sut(*words: str) -> None:
    """Run a command of the program and show what it says; it must succeed."""
    code = start(*words).wait(WAIT_S)
    print(flush=True)
    expect(code == 0, f"sut {words[0]} succeeds, and not with exit code {code}")


def start(*words: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
    """Start a command of the program."""
    say(f"sut {' '.join(words)}")
    return subprocess.Popen([sys.executable, "-m", "sut", *words], stderr=stderr)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    end_s = time.monotonic() + WAIT_S
    while not holds():
        expect(time.monotonic() < end_s, f"{what} within {WAIT_S:g} s")
        time.sleep(0.1)


def expect(holds: bool, what: str) -> None:
    """End the demo if something is not as it must be."""
    if not holds:
        sys.exit(f"cluster-demo: expected: {what}")


def say(line: str) -> None:
    """Show a step."""
    print(f"$ {line}", flush=True)


if __name__ == "__main__":
    sys.exit(tidy(main))
