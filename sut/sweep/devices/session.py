"""One comparison in its folder: all points once, then again, so that what drifts drifts for all.

Keeps what was measured after each try. Knows no terminal.
"""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING

from backends.base import WITHOUT_MODEL
from data.tasks import judge_of_records
from sut.base import environment
from sut.base.files import write_whole
from sut.base.ticker import doing
from sut.models.answers import Opening, ask
from sut.record.table import Table, encode, place
from sut.sweep.devices import text
from sut.sweep.devices.bench import Once, spread
from sut.sweep.devices.peak import roofs_of
from sut.sweep.devices.rows import Costs, Measured, Reference, rows_of
from sut.sweep.devices.ways import AS_IS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sut.models.graph_cost import GraphCost
    from sut.sweep.devices.bench import Bench
    from sut.sweep.devices.plan import Planner, Point
    from sut.sweep.devices.roofline import Roof

TABLE_JSON, TABLE_MD = "table.json", "table.md"


class Session:
    """What is measured, and what is known so far.

    Args:
        folder: of the comparison.
        title: of its table.
        command: repeats it.
        planner: of the points.
        bench: measures.
        say: prints a line.
    """

    def __init__(  # noqa: PLR0913 - what a table says of its comparison
        self,
        folder: Path,
        title: str,
        command: str,
        planner: Planner,
        bench: Bench,
        say: Callable[[str], None],
    ) -> None:
        self._folder, self._title, self._command = folder, title, command
        self._planner, self._bench, self._say = planner, bench, say
        self._started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._tries: dict[int, list[Once]] = {}
        self._lost: dict[str, Once] = {}
        self._roofs: dict[str, Mapping[str, Roof]] = {}
        self._costs = Costs()
        self._reference: Reference | None = None

    def run(self, points: Sequence[Point], repeats: int) -> Table:
        """Measure every point so many times; write the table after each try.

        Raises:
            Stopped: a signal came; what was measured is kept.
        """
        wanted = [(k, point) for k, point in enumerate(points) if not point.way.refused]
        real = [point for _, point in wanted if point.backend not in WITHOUT_MODEL]
        for point in real:
            if point.device.name not in self._roofs:
                threads = point.options.get("intra_op_threads")
                chosen = threads if isinstance(threads, int) else None
                self._roofs[point.device.name] = roofs_of(point.device, chosen)
        judge = bool(real) and self._can_judge()
        exact = [k for k, point in wanted if judge and _is_reference(point)][:1]
        if judge and not exact:
            self._reference = self._asked()
        for repeat in range(repeats):
            for number, (k, point) in enumerate(wanted, repeat * len(wanted) + 1):
                if repeat and self._tries[k][-1].answered is None:
                    continue  # it failed before, and what a hanging device costs was paid once
                once = self._lost.get(point.device.name) or self._measured(point, repeat)
                if once.lost:
                    why = f"not tried: the device was lost before, {once.problem}"
                    self._lost.setdefault(point.device.name, Once(None, why))
                self._tries.setdefault(k, []).append(once)
                if k in exact and repeat == 0:
                    self._reference = self._answered(once) or self._asked()
                table = self.table(points)
                count = f"{number}/{repeats * len(wanted)}"
                self._say(f"{count}  {text.told(table.rows[k])}")
                self._write(table)
        table = self.table(points)
        self._write(table)
        return table

    def _measured(self, point: Point, repeat: int) -> Once:
        with doing(place(point.place)):
            return self._bench.measure(point, repeat)

    def table(self, points: Sequence[Point]) -> Table:
        """Return the table of all that is known."""
        measured = [
            Measured(point, tuple(self._tries.get(k, ())), self._cost(k, point))
            for k, point in enumerate(points)
        ]
        rows = rows_of(measured, lambda p: self._roofs.get(p.device.name, {}), self._reference)
        return Table(
            title=self._title,
            source=text.SOURCE,
            load="offline",
            configuration=self._configuration(points),
            identity=self._planner.identity(),
            environment=self._environment(points),
            command=self._command,
            started=self._started,
            rows=tuple(rows),
        )

    def _cost(self, k: int, point: Point) -> GraphCost | None:
        if point.backend in WITHOUT_MODEL or not any(o.answered for o in self._tries.get(k, ())):
            return None
        model = self._planner.workload(point).model
        cost = None if model is None else self._costs.of(model.path, point.batch, point.way)
        return None if isinstance(cost, str) else cost

    def _can_judge(self) -> bool:
        """Return whether answers are asked for and can be judged; say why not."""
        if not self._bench.answers:
            return False
        no_judge = judge_of_records(self._planner.benchmark.postprocess) is None
        if no_judge or self._planner.samples().labels is None:
            self._say("no accuracy: the data set has no labels, or no judge")
            return False
        return True

    def _answered(self, once: Once) -> Reference | None:
        """Return a row's own answers as the reference; None if it failed."""
        if once.answered is None:
            return None
        records = dict(zip(once.rows, once.answered.answers(), strict=True))
        return Reference(records, self._planner.samples(), self._planner.benchmark.postprocess)

    def _asked(self) -> Reference:
        """Return the answers of the fp32 model in ONNX Runtime, where no row has them."""
        workload = self._planner.fp32()
        rows = spread(workload, self._bench.answers)
        self._say(f"the reference: fp32 in ONNX Runtime on the CPU, {len(rows)} samples")
        found = ask(Opening("onnxruntime"), workload, rows, self._folder)
        records = dict(zip(rows, found.records, strict=True))
        return Reference(records, self._planner.samples(), self._planner.benchmark.postprocess)

    def _write(self, table: Table) -> None:
        write_whole({
            self._folder / TABLE_JSON: encode(table).decode(),
            self._folder / TABLE_MD: text.markdown(table),
        })  # fmt: skip

    def _configuration(self, points: Sequence[Point]) -> dict[str, str]:
        rule = self._bench.rule
        found = {
            "Benchmark": self._planner.benchmark.name,
            "Timing": f"after the warm-up, until the median is known to {rule.latency_spread:.1%}, "
            f"{rule.least_s:g} to {rule.limit_s:g} s; by the device's clock where it has one",
        }
        for point in points:
            name = point.device.name
            found[f"Device {name}"] = ", ".join(
                filter(None, (point.device.product, f"backend {point.backend}"))
            )
        return found

    def _environment(self, points: Sequence[Point]) -> dict[str, str]:
        found = {
            "cpu": environment.cpu_model(),
            "system": environment.os_name(),
            "kernel": platform.release(),
            "commit": environment.commit() or "unknown",
            "load_average_1min": f"{environment.load_average():.2f}",
            **environment.versions(),
        }
        for k, point in enumerate(points):
            facts = dict(point.device.facts)
            for once in self._tries.get(k, ())[:1]:
                facts |= engine_facts(once)
            found |= {f"device {point.device.name} {n}": v for n, v in facts.items()}
        return found


def _is_reference(point: Point) -> bool:
    """Return whether a row is what the others are compared with."""
    is_exact = point.way.precision == AS_IS and point.backend == "onnxruntime"
    return is_exact and point.device.is_cpu


# What an engine says of itself that may explain a difference between two devices.
_FACTS = (
    "provider", "version", "cuda", "cudnn", "cuda_driver", "compiled", "intra_op_threads",
    "profiles",
)  # fmt: skip


def engine_facts(once: Once) -> dict[str, str]:
    """Return what an engine says of its library."""
    return {f"engine {name}": once.facts[name] for name in _FACTS if name in once.facts}
