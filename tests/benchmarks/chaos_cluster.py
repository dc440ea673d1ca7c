"""Breaks nodes, cables and processes under runs on a cluster, and sees how each run ends.

`python -m tests.benchmarks.chaos_cluster [--runs N] [--seed S]`: first each fault once, then N runs
with a random fault at a random time, from the opening on. Prints a table; exits 1 if a run hung,
said VALID, did not name the node, left a process, or if a node did not take the next run. Needs
root: the machines are network namespaces.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sut.helpers.machines import Machines, is_running
from tests.sut.helpers.namespaces import reason
from tests.sut.helpers.waiting import wait_until
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sut.helpers.machines import Node, Run

# A run that asks ends within two seconds of the fault: after 1.5 s of silence a node is lost. One
# that opens counts from when a node works for it, and its workers may have to start first.
END_ASKING_S, END_OPENING_S = 2.0, 4.0
HANG_S = 20.0
# Workers of a run that is gone are free when its node has missed it, and has ended them.
FREE_S = 10.0
# Runs are longer than any fault takes to come, and faults come at any time of opening and asking.
_LONG = ("--min-duration-s", "60")
_SHORT, _BEAR_S = ("--min-duration-s", "1"), 60.0
_LATEST_S, _AGAIN_S = 5.0, 0.02
_ASKING_SHARE, _ASKS_S = 0.6, 2.0
_SCENARIOS = ("Server", "Offline", "SingleStream", "MultiStream")
_DEVICE = ("--set", "base_ms=2", "--max-batch-size", "8")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break something.

    Attributes:
        act: breaks it: gets the machines, the place of a node, and the run.
        names: the run must name that node.
        again: breaks it again and again: a node replaces a worker that dies between two runs.
    """

    act: Callable[[Machines, int, Run], None]
    names: bool = True
    again: bool = False


def _signal_worker(number: signal.Signals) -> Callable[[Machines, int, Run], None]:
    def act(machines: Machines, index: int, run: Run) -> None:
        with suppress(ProcessLookupError):
            for worker in machines.nodes[index].workers():
                os.kill(worker, number)

    return act


def _kill_trial(machines: Machines, index: int, run: Run) -> None:
    wait_until(lambda: run.trial() is not None, "the test has a process", 60)
    trial = run.trial()
    assert trial is not None, "it was there just now"
    os.kill(trial, signal.SIGKILL)


FAULTS = {
    "node killed": Fault(lambda m, k, _: m.nodes[k].kill()),
    "node stopped (SIGSTOP)": Fault(lambda m, k, _: os.kill(m.nodes[k].pid, signal.SIGSTOP)),
    "machine stopped": Fault(lambda m, k, _: m.nodes[k].signal_all(signal.SIGSTOP)),
    "worker killed": Fault(_signal_worker(signal.SIGKILL), again=True),
    "worker stopped": Fault(_signal_worker(signal.SIGSTOP), again=True),
    "cable cut": Fault(lambda m, k, _: m.network.links[k].cut()),
    "link down": Fault(lambda m, k, _: m.network.set_link(k, "down")),
    "every packet dropped": Fault(lambda m, k, _: m.network.links[k].drop(1.0)),
    "test's process killed": Fault(_kill_trial, names=False),
    "command killed": Fault(lambda _, __, r: r.kill(), names=False),
}


@dataclass(frozen=True, slots=True)
class Mild:
    """What a run must survive.

    Attributes:
        act: makes the first node worse.
        words: further ones of the command.
        says: what the run must say.
    """

    act: Callable[[Machines], None]
    words: tuple[str, ...] = ()
    says: str = ""


MILD = {
    "nothing": Mild(lambda _: None),
    "delay of 5 ms each way": Mild(
        lambda m: m.network.links[0].delay(5), says="alpha/device 0 for"
    ),
    "1 % of the packets lost": Mild(lambda m: m.network.links[0].drop(0.01)),
    "a node half as fast": Mild(
        lambda _: None, ("--set", "slow@0=2"), "alpha/device 0 took 2.0 times as long"
    ),
}


@dataclass(slots=True)
class Seen:
    """How the runs with one fault ended: seconds from the fault, and what was wrong."""

    asking_s: list[float] = field(default_factory=list)
    opening_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def blame(self, what: str) -> None:
        """Note what was wrong, and say it now."""
        self.wrong.append(what)
        print(f"\n{what}", file=sys.stderr, flush=True)


class Chaos:
    """All rounds, on the same machines."""

    def __init__(self, machines: Machines, seed: int) -> None:
        self._machines = machines
        self._random = random.Random(seed)
        self.seen: dict[str, Seen] = {}

    def break_one(self, name: str, *, at_random: bool) -> None:
        """Break something under one run, and repair it."""
        seen = self.seen.setdefault(name, Seen())
        machines, fault = self._machines, FAULTS[name]
        index = self._random.randrange(len(machines.nodes))
        node = machines.nodes[index]
        scenario = self._random.choice(_SCENARIOS) if at_random else "Server"
        run = machines.run("-s", scenario, *_LONG, *_DEVICE)
        if not at_random or self._random.random() < _ASKING_SHARE:
            run.until_asking()
            self._wait(run, self._random.uniform(0, _ASKS_S))
        else:
            self._wait(run, self._random.uniform(0.5, _LATEST_S))
        asking = run.is_asking()
        where = f"{name}, {scenario}, {'asking' if asking else 'opening'}, {node.name}"
        if run.code is not None:
            seen.blame(f"{where}: it ended before: {run.said()[-300:]}")
            return
        processes = [*filter(None, [run.trial()]), *(node.workers() if asking else ())]
        self._judge(seen, where, fault, run, index, asking=asking)
        self._repair(node, index)
        self._see_end(seen, where, processes)

    def _wait(self, run: Run, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and run.code is None:
            time.sleep(0.01)

    def _judge(  # noqa: PLR0913 - one round
        self, seen: Seen, where: str, fault: Fault, run: Run, index: int, *, asking: bool
    ) -> None:
        node = self._machines.nodes[index]
        took_s = self._broken(fault, index, run)
        if took_s is None:
            seen.blame(f"{where}: hangs")
            run.stop()
            return
        (seen.asking_s if asking else seen.opening_s).append(took_s)
        said = run.said()
        if "VALID" in said.replace("INVALID", "") or run.code == 0:
            seen.blame(f"{where}: exit code {run.code}, said: {said[-300:]}")
        if fault.names and node.name not in said.partition("sut: ")[2]:
            seen.blame(f"{where}: does not name the node: {said[-300:]}")
        if took_s > (END_ASKING_S if asking else END_OPENING_S):
            seen.blame(f"{where}: ended after {took_s:.1f} s")

    def _broken(self, fault: Fault, index: int, run: Run) -> float | None:
        """Break it; return how many s later the run ended, or None.

        They count from when the first node works for the run, if that is later.
        """
        began = self._works_for(run)
        fault.act(self._machines, index, run)
        start_s = time.monotonic()
        end_s = start_s + HANG_S
        while run.ends_within(_AGAIN_S) is None:
            if time.monotonic() > end_s:
                return None
            if not began and self._works_for(run):
                began, start_s = True, time.monotonic()
            if fault.again:
                fault.act(self._machines, index, run)
        return time.monotonic() - start_s if began else 0.0

    def _works_for(self, run: Run) -> bool:
        trial = run.trial()
        return any(f"process {trial}\n" in node.said() for node in self._machines.nodes)

    @staticmethod
    def _see_end(seen: Seen, where: str, pids: list[int]) -> None:
        try:
            wait_until(lambda: not any(map(is_running, pids)), "no process is left", FREE_S)
        except AssertionError:
            left = [pid for pid in pids if is_running(pid)]
            seen.blame(f"{where}: processes are left: {left}")

    def _repair(self, node: Node, index: int) -> None:
        network = self._machines.network
        if not node.is_alive():
            node.start()
            node.until_listening()
        node.signal_all(signal.SIGCONT)
        network.links[index].join()
        network.links[index].drop(0.0)
        network.links[index].delay(0.0)
        network.set_link(index, "up")

    def bear(self, name: str, label: str = "") -> None:
        """See that a run on all nodes survives something mild, and what it says of it."""
        label, mild = label or name, MILD[name]
        seen = self.seen.setdefault(label, Seen())
        mild.act(self._machines)
        run = self._machines.run("-s", "Offline", *_SHORT, *_DEVICE, *mild.words)
        took_s = run.ends_within(_BEAR_S)
        if took_s is None or run.code != 0 or mild.says not in run.said():
            seen.blame(f"{label}: code {run.code}, said: {run.said()[-600:]}")
            run.stop()
        else:
            seen.asking_s.append(took_s)
        self._repair(self._machines.nodes[0], 0)


def main() -> int:
    """Break everything; return 1 if something was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=2)
    arguments = parser.parse_args()
    if (why := reason()) is not None:
        print(f"cannot run here: {why}", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        Machines(Path(folder), arguments.nodes) as machines,
    ):
        chaos = Chaos(machines, arguments.seed)
        for name in MILD:
            chaos.bear(name)
        for name in FAULTS:
            chaos.break_one(name, at_random=False)
            chaos.bear("nothing", "the next run")
        chosen = random.Random(arguments.seed)
        for number in range(1, arguments.runs + 1):
            chaos.break_one(chosen.choice(list(FAULTS)), at_random=True)
            wrong = sum(len(seen.wrong) for seen in chaos.seen.values())
            shown = f"{number} of {arguments.runs}, {wrong} wrong"
            print(f"\r{shown}", end="", file=sys.stderr, flush=True)
        chaos.bear("nothing", "the next run")
    return _report(chaos)


def _report(chaos: Chaos) -> int:
    print("\n| what | asking | ended after s | opening | ended after s | wrong |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, seen in chaos.seen.items():
        asking, opening = _shown(seen.asking_s), _shown(seen.opening_s)
        print(f"| {name} | {asking} | {opening} | {len(seen.wrong)} |")
    wrong = [line for seen in chaos.seen.values() for line in seen.wrong]
    print("\n".join(wrong))
    return int(bool(wrong))


def _shown(ends_s: list[float]) -> str:
    if not ends_s:
        return "0 | "
    return f"{len(ends_s)} | {statistics.median(ends_s):.2f}, at most {max(ends_s):.2f}"


if __name__ == "__main__":
    sys.exit(tidy(main))
