"""NVIDIA's Multi-Process Service, for the time of a point: a daemon of this user's own.

It needs `nvidia-cuda-mps-control`, which comes with the driver of a server; a Jetson has none. It
changes no setting of the GPU. Without the daemon's folder in their environment, processes share a
GPU by time slices, even where somebody else's daemon runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.base import ending
from sut.base.errors import ConfigError, SutError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONTROL = "nvidia-cuda-mps-control"
_FOLDERS = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
_LIMIT_S = 20.0


def check_mps() -> None:
    """Refuse a machine without MPS.

    Raises:
        ConfigError: there is none.
    """
    if shutil.which(CONTROL) is None:
        raise ConfigError(
            f"--share mps: {CONTROL} is not installed (a Jetson has none, nor has a machine "
            "without NVIDIA's driver). Use processes, threads or streams."
        )


@contextmanager
def environment(*, with_mps: bool) -> Iterator[Mapping[str, str]]:
    """Yield variables of the environment, with which processes use MPS, or certainly do not.

    Raises:
        SutError: the daemon does not start.
    """
    with tempfile.TemporaryDirectory(prefix="sut-mps-") as folder:
        variables = dict.fromkeys(_FOLDERS, folder)
        if not with_mps:
            yield variables
            return
        _control(folder, ["-d"], "")
        try:
            yield variables
        finally:
            _control(folder, [], "quit\n")


def _control(folder: str, words: Sequence[str], said: str) -> None:
    env = {**os.environ, **dict.fromkeys(_FOLDERS, folder)}
    done = ending.output([CONTROL, *words], _LIMIT_S, said, env)
    if done.returncode:
        why = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise SutError(f"{CONTROL} {' '.join(words)}: {why}")
