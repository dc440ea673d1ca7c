"""An open submission of EfficientNet-Lite0, with real runs of full length: 600 s a scenario.

    python -m tests.submission.extra.open_division DIR

makes DIR/submission in about 45 minutes on two cores, and needs the machine for itself. What is
done is not run again. The data set has twenty photos, so user.conf states the counts of the
benchmark that it stands for (--small-data), and the tree says so.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from sut.cli import main as sut
from sut.submission import system as system_json

SUBMITTER = "ACCEPTANCE-TEST"
NOT_STATED = "not stated: an acceptance test of the program, not a submission"
SYSTEM = "acceptance"
# The bound is resnet50's 15 ms, and a batch of one takes about half of that on two cores.
USER_CONF = "*.Server.target_qps = 5\n"
SYSTEM_YAML = """description: the machine of an acceptance test, on its CPU
backend: onnxruntime
devices: [cpu]
harness: {max_batch_size: 8}
benchmarks:
  efficientnet-lite0:
    Server: {max_batch_size: 1}
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
    code = sut(
        [
            *("submit", "-b", "efficientnet-lite0", "--division", "open"),
            *("--submitter", SUBMITTER, "--system", str(system), "--small-data"),
            *("--out", str(folder / "submission"), "--work", str(folder / "runs")),
        ]
    )
    print(f"{time.monotonic() - start_s:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
