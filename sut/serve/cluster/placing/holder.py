"""The actor of Ray that holds one node: it starts the agent where Ray put it, and watches it.

Ray sends this class by value, so that the Python of a Ray cluster that others run needs nothing of
this program: it imports the standard library and Ray alone, and returns plain types.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections import deque

_SET_PDEATHSIG = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_LAST_LINES = 20
_END_S = 5.0
_FLUSH_S = 0.5  # from the end of what an agent says to its own
_LOOK_S = 0.5
_LISTENING = "listens at "


class Holder:
    """Starts `sut cluster node` in a process of its own, which dies with this actor."""

    def __init__(self) -> None:
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._address = ""
        self._process: subprocess.Popen[str] | None = None
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()

    def start(self, command: list[str], listen: str, limit_s: float) -> dict[str, str | int]:
        """Start the agent; return its `address`, `pid`, `host` and `niceness`, or its `error`.

        Args:
            command: words of the agent; `{listen}` in them is replaced.
            listen: HOST:PORT; without a host, that of this machine as Ray knows it.
            limit_s: seconds at most until it listens.
        """
        host, _, port = listen.rpartition(":")
        host = host or _own_host()
        libc = ctypes.CDLL(None)
        # Ray puts its workers behind all other processes, and their children with them.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        niceness = os.getpriority(os.PRIO_PROCESS, 0)
        try:
            # This thread lives as long as the actor does; it is the thread whose end would count.
            self._process = process = subprocess.Popen(
                [word.replace("{listen}", f"{host}:{port}") for word in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # a priority counts within its session: see before_others
                preexec_fn=lambda: libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509 - it takes no lock
            )
        except OSError as error:
            return {"error": f"{command[0]}: {error.strerror}", "host": host}
        self._address = ""
        over = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(process, over), daemon=True)
        self._reader.start()
        over.wait(limit_s)
        if self._address:
            found = {"address": self._address, "host": host}
            return {**found, "pid": process.pid, "niceness": niceness}
        why = self.wait_end(_FLUSH_S)
        self.stop()
        return {"error": why or f"it does not listen after {limit_s:g} s", "host": host}

    def wait_end(self, limit_s: float) -> str | None:
        """Wait for the agent's end; return how it ended, or None if it has not after `limit_s`."""
        process = self._process
        assert process is not None, "it was started"
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(_FLUSH_S)  # what it said last may not be read yet
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last = next((line.strip() for line in reversed(self._said) if line.strip()), "nothing")
        return f"it ended with {how} and said last: {last}"

    def stop(self) -> None:
        """End the agent."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a driver holds it
                process.wait(_END_S)

    def _read(self, process: subprocess.Popen[str], over: threading.Event) -> None:
        """Keep the last lines until the agent ends; note the one that says where it listens."""
        assert process.stdout is not None, "it is a pipe"
        with process.stdout as said:
            for line in said:
                self._said.append(line)
                _, found, address = line.partition(_LISTENING)
                if found:
                    self._address = address.strip()
                    over.set()
        over.set()


def _end_with_parent(parent: int) -> None:
    """End with Ray on this machine. Ray's own check expects that orphans go to process 1."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


def _own_host() -> str:
    import ray  # noqa: PLC0415 - tests of this file need none

    return str(ray.util.get_node_ip_address())
