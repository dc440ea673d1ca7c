"""Brings a cluster up and down: starts the warden of its head, and waits until it says how it went.

Knows processes and the folder of the state; the head alone knows Ray.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from sut.base import ending
from sut.base.environment import ROOT
from sut.base.errors import ConfigError, SutError
from sut.base.files import make_folder
from sut.base.process import exit_words
from sut.base.subprocess_call import last_line
from sut.config.placing import state_folder
from sut.serve.cluster.placing import head, warden
from sut.serve.cluster.placing.environment import of_head
from sut.serve.cluster.placing.state import LOG_FILE, clear, is_held, read_state

if TYPE_CHECKING:
    from pathlib import Path

    from sut.config.cluster import Cluster
    from sut.config.placing import RaySpec
    from sut.serve.cluster.placing.state import State

_LOOK_S = 0.05
# The head has this long to end agents, machines and Ray; then the warden kills all that is left.
_HEAD_S, _DOWN_S = 30.0, 45.0


def up(file: Path, cluster: Cluster) -> State:
    """Start the head of a cluster, and return its state when all nodes listen.

    Whatever goes wrong meanwhile, a signal too, nothing is left.

    Raises:
        ConfigError: the cluster is up already, or the file does not say how Ray places it.
        SutError: Ray or a node did not start.
    """
    if cluster.ray is None:
        raise ConfigError(
            f"{file}: it has no section ray, so its nodes are started by sut cluster node."
        )
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("sut cluster up needs ray. Install it: pip install -e '.[cluster]'")
    folder = state_folder(file)
    if is_held(folder):
        raise ConfigError(f"{file}: it is up already. End it first: sut cluster down {file}.")
    clear(folder)
    make_folder(folder, "FILE")
    order = warden.Order(
        (sys.executable, "-m", head.MODULE, str(file), str(folder), warden.FOLDER),
        environment=of_head(cluster.ray),
        held=str(folder),
        grace_s=_HEAD_S,
    )
    with (folder / LOG_FILE).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", warden.MODULE],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # it outlives this command and its terminal
        )
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(warden.line_of(order))
        return _wait_for_nodes(process, folder, cluster.ray)
    except BaseException:
        process.terminate()
        ending.end(process, "the warden of the cluster", _DOWN_S)
        clear(folder)
        raise


def _wait_for_nodes(process: subprocess.Popen[bytes], folder: Path, spec: RaySpec) -> State:
    """Return the state when all nodes listen. The head has limits of its own once it has Ray."""
    end_s = time.monotonic() + spec.start_s
    while True:
        ended = process.poll()
        state = read_state(folder)
        if state is not None and state.phase == "up" and ended is None:
            return state
        if ended is not None:
            if state is not None and state.phase == "failed":
                is_bad_input = ended == ConfigError.exit_code
                raise (ConfigError if is_bad_input else SutError)(state.message)
            said = last_line((folder / LOG_FILE).read_text("utf-8", "replace"))
            raise SutError(f"the cluster's head ended with {exit_words(ended)}: {said}")
        if time.monotonic() > end_s and not (state and state.ray):
            where = spec.address or spec.listen
            raise SutError(f"Ray at {where} does not answer within {spec.start_s:g} s.")
        time.sleep(_LOOK_S)


def check_file(file: Path) -> None:
    """Refuse a cluster file that never was: a slip in its name must not read as "it is not up".

    Raises:
        ConfigError: neither the file nor anything of its cluster is there.
    """
    if not file.exists() and not state_folder(file).exists():
        raise ConfigError(f"{file}: no such file; expected the one of sut cluster up.")


def down(file: Path) -> State | None:
    """End a cluster; return its last state when nothing of it is left, or None if it was not up.

    Raises:
        SutError: its processes do not end.
    """
    folder = state_folder(file)
    end_s = time.monotonic() + _DOWN_S
    state, told = read_state(folder), False
    while is_held(folder):
        state = read_state(folder) or state
        if state is not None and not told:  # a head that has just started has not written one
            os.kill(state.warden, signal.SIGTERM)
            told = True
        if time.monotonic() > end_s:
            pid = "" if state is None else f" Its warden is process {state.warden}."
            raise SutError(f"{file}: the cluster did not end within {_DOWN_S:g} s.{pid}")
        time.sleep(_LOOK_S)
    clear(folder)
    return state


def status(file: Path) -> State | None:
    """Return the state of a cluster; None: it is not up, see `why_ended`."""
    folder = state_folder(file)
    return read_state(folder) if is_held(folder) else None


def why_ended(file: Path) -> str:
    """Return why a cluster that nobody ended is not up; empty: nothing is left of one."""
    folder = state_folder(file)
    state = read_state(folder)
    if state is None:
        return ""
    return state.message or last_line((folder / LOG_FILE).read_text("utf-8", "replace"))
