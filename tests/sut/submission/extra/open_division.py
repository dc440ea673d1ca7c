"""An open submission of EfficientNet-Lite0, with real runs of full length: 600 s a scenario.

    python -m tests.sut.submission.extra.open_division DIR

makes DIR/submission in about 45 minutes on two cores, and needs the machine for itself. What is
done is not run again. Server runs the int8 model: its bound is resnet50's 15 ms, and after an idle
moment the fp32 model alone takes up to 12 ms on two such cores. The data set has twenty photos:
user.conf states the counts of the benchmark that it stands for (--small-data); the tree says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from sut.cli import main as sut
from sut.submission import system as system_json
from tests.tidy import tidy

SUBMITTER = "ACCEPTANCE-TEST"
NOT_STATED = "not stated: an acceptance test of the program, not a submission"
SYSTEM = "acceptance"
BENCHMARK = "efficientnet-lite0"
# Of 5 queries a second few meet, and two engines answer those that do side by side.
USER_CONF = "*.Server.target_qps = 5\n"
SYSTEM_YAML = """description: the machine of an acceptance test, on its CPU
backend: onnxruntime
devices: [cpu]
harness: {max_batch_size: 8}
benchmarks:
  efficientnet-lite0:
    Server: {max_batch_size: 1, instances: 2, backend_options: {intra_op_threads: 1}}
    SingleStream: {workers: inline, max_batch_size: 1}
"""


def main(folder: Path) -> int:
    """Make what is missing in `folder`; return the exit code of `sut submit`."""
    system = folder / SYSTEM
    system.mkdir(parents=True, exist_ok=True)
    (system / "system.yaml").write_text(SYSTEM_YAML, "utf-8")
    (system / "user.conf").write_text(USER_CONF, "utf-8")
    described = system_json.describe()
    described |= dict.fromkeys(system_json.blanks(described), NOT_STATED)
    described |= {"status": "rdi", "system_type": "datacenter,edge"}
    (system / "system.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    start_s = time.monotonic()
    code = _submit(folder, "-s", "SingleStream,MultiStream,Offline")
    if code == 0:
        code = _submit(folder, "-s", "Server", "--model", str(_int8()))
    print(f"{time.monotonic() - start_s:.0f} s")
    return code


def _submit(folder: Path, *more: str) -> int:
    return sut(
        [
            *("submit", "-b", BENCHMARK, "--division", "open"),
            *("--submitter", SUBMITTER, "--system", str(folder / SYSTEM), "--small-data"),
            *("--out", str(folder / "submission"), "--work", str(folder / "runs"), *more),
        ]
    )


def _int8() -> Path:
    """Return the int8 model for ONNX Runtime; it is made once."""
    words = ("quantize", "-b", BENCHMARK, "--precision", "int8-ort", "--json")
    done = subprocess.run([sys.executable, "-m", "sut", *words], check=True, stdout=subprocess.PIPE)
    (made,) = json.loads(done.stdout)["made"]
    return Path(made["path"])


if __name__ == "__main__":
    sys.exit(tidy(lambda: main(Path(sys.argv[1]).absolute())))
