"""What a process of the program sets before anything else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sut.base.environment import ROOT

VARIABLE = "OPENBLAS_NUM_THREADS"
CODE = f"""
import contextlib, os
from sut.__main__ import main
with contextlib.suppress(SystemExit):
    main()
import numpy
print(os.environ["{VARIABLE}"], len(os.listdir("/proc/self/task")))
"""


@pytest.mark.parametrize(("given", "threads"), [({}, "1 1"), ({VARIABLE: "2"}, "2 2")])
def test_numpy_starts_no_threads_unless_the_user_wants_some(
    given: dict[str, str], threads: str
) -> None:
    others = {key: value for key, value in os.environ.items() if key != VARIABLE}

    done = subprocess.run(
        [sys.executable, "-c", CODE, "--help"],
        cwd=ROOT,
        env=others | given,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == threads
