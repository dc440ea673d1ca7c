"""The model of memory after three points against five others, and an edge against single steps.

Run as `python -m tests.benchmarks.fit [--part model|edge] [--backend NAME --device 0]`; prints
tables in Markdown, and says whether the five lie within 5 %, and the edge within 2 %. On a GPU the
edge is that of all free memory, and batches are sixteen times as large.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backends.device_memory import has_own_memory
from sut.config.arguments import Arguments
from sut.record.journal import JournalFile
from sut.sweep.fit.memory import GpuMemory, HostMemory, default_limit
from sut.sweep.fit.memory_model import MemoryPoint, can_fit, fit_memory
from sut.sweep.fit.planner import Axes, Planner
from sut.sweep.fit.result import FIT_FILE, FitRow, read_fit
from sut.sweep.fit.session import FitSession, Wanted
from sut.sweep.fit.trier import ACT, Trier
from sut.sweep.tries.group import Times
from sut.sweep.tries.warm import WarmStart, imports_of
from sut.telemetry.gpu_memory import free_bytes, is_gone
from sut.verbs.options import parse_option
from tests.tidy import tidy

if TYPE_CHECKING:
    from sut.sweep.tries.group import Launch

MODEL_WITHIN, EDGE_WITHIN = 0.05, 0.02
# (processes, batch): three to fit, five to predict.
FITTED = ((1, 24), (1, 48), (1, 80))
OTHERS = ((1, 32), (1, 40), (1, 64), (2, 32), (2, 48))
_ON_GPU = 16
# Single steps go so far beyond the batch that fails, in case that a larger one fits.
BEYOND = 4


@dataclass(frozen=True, slots=True)
class Place:
    """A benchmark in a precision at a resolution."""

    benchmark: str
    precision: str
    resolution: str

    @property
    def scale(self) -> int:
        """How many pixels of 224 x 224 one of its images has, so that batches are smaller."""
        return max(1, (int(self.resolution) // 224) ** 2)


PLACES = (
    Place("efficientnet-lite0", "", "224"),
    Place("resnet50-synthetic", "fp32", "224"),
    Place("resnet50-synthetic", "fp32", "512"),
)
ON_GPU = tuple(Place("resnet50-synthetic", "fp16", side) for side in ("224", "512", "1024"))


class Bench:
    """Measures on one device."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, launch: Launch) -> None:
        self._typed, self._folder, self._launch = arguments, folder, launch
        self._set = dict(parse_option(text) for text in arguments.set)
        self._on_gpu = has_own_memory(arguments.backend, arguments.device)
        self.places = ON_GPU if self._on_gpu else PLACES

    def model(self, place: Place) -> None:
        """Print what is predicted from three points beside what is measured."""
        memory = self._memory(None)
        trier = Trier(self._new(), memory, Times(), is_gone, self._launch)
        targets = {t.processes: t for t in self._planner(place, (1, 2)).targets()}
        points, sizes = {}, None
        factor = _ON_GPU if self._on_gpu else 1
        for processes, batch in (*FITTED, *OTHERS):
            size = max(1, factor * batch // place.scale)
            tried = trier(targets[processes], size, 0.0)
            if tried.needed_bytes is None:
                print(f"{place}, batch {size}: {tried.kind}: {tried.message}", flush=True)
                return
            points[processes, batch] = MemoryPoint(processes, size, tried.needed_bytes)
            sizes = sizes or memory.sizes(tried.figures, targets[1].weights_bytes)
        assert sizes is not None, "the first point has them"
        if not can_fit([points[key] for key in FITTED], sizes):
            print(f"\n{place.benchmark}: needs no more than while it opens; no model\n")
            return
        model = fit_memory([points[key] for key in FITTED], sizes)
        worst = 0.0
        for key in OTHERS:
            point = points[key]
            off = model.predict(point.processes, point.batch) / point.bytes - 1
            worst = max(worst, abs(off))
            print(
                f"| {place.benchmark} {place.precision} {place.resolution} px | {point.processes} "
                f"| {point.batch} | {point.bytes / 1e6:,.1f} | {off:+.1%} | {model.error:.1%} |",
                flush=True,
            )
        said = "within" if worst <= MODEL_WITHIN else "NOT within"
        print(f"\n{place.benchmark}: {said} {MODEL_WITHIN:.0%}, at most {worst:.1%}\n")

    def edge(self, place: Place) -> None:
        """Print the edge that the search finds, and what single steps around it show."""
        limit_bytes = None if self._on_gpu else self._typed.limit_mb * 1_000_000
        folder, memory = self._new(), self._memory(limit_bytes)
        trier = Trier(folder, memory, Times(), is_gone, self._launch)
        [target] = self._planner(place, (1,)).targets()
        row = self._found(place)
        if row is None:
            session = FitSession(
                JournalFile(folder, {}, "search"), memory, trier, Wanted(),
                lambda line: print(line, file=sys.stderr, flush=True),
            )  # fmt: skip
            session.open()
            [row] = session.run([target], lambda rows: None)
        found = row.largest_batch or 0  # it fitted twice
        # On a GPU thousands fit: a step of a two-hundredth, so that four of them reach 2 %.
        step = max(1, found // 200)
        steps = {found: found > 0}
        for batch in range(found + step, found + BEYOND * step + 1, step):
            steps[batch] = trier(target, batch, 0.0).fits
        true = max((batch for batch, fits in steps.items() if fits), default=0)
        off = found / true - 1 if true else -1.0
        print(
            f"| {place.benchmark} {place.precision} {place.resolution} px | "
            f"{(memory.limit_bytes or 0) / 1e6:,.0f} | {found} | {true} | {off:+.1%} | "
            f"{row.tries} | {row.seconds:.0f} |",
            flush=True,
        )
        said = "within" if abs(off) <= EDGE_WITHIN else "NOT within"
        print(f"\n{place.benchmark}: {said} {EDGE_WITHIN:.0%}\n")

    def _found(self, place: Place) -> FitRow | None:
        """Return what an earlier `sut fit` of this benchmark found there; None: search."""
        if self._typed.found is None:
            return None
        path = self._typed.found / FIT_FILE
        rows = read_fit(path.read_bytes(), str(path)).rows
        # A row names height and width: 224x224.
        at = f"{place.resolution}x{place.resolution}"
        return next((row for row in rows if row.point.get("resolution") == at), None)

    def _planner(self, place: Place, instances: tuple[int, ...]) -> Planner:
        own = self._typed
        arguments = Arguments(
            benchmark=place.benchmark,
            scenario="Offline",
            backend=own.backend,
            devices=(own.device,),
            slots=1,
            backend_options=self._set,
        )
        precisions = (place.precision,) if place.precision else ()
        return Planner(arguments, Axes((place.resolution,), precisions, instances))

    def _memory(self, limit_bytes: int | None) -> HostMemory | GpuMemory:
        if self._on_gpu:
            return GpuMemory(self._typed.device, free_bytes, limit_bytes)
        return HostMemory(limit_bytes or default_limit())

    def _new(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._folder))


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--limit-mb", type=int, default=900, help="of the edge on a CPU (900)")
    parser.add_argument(
        "--found", type=Path, metavar="DIR", help="of `sut fit`: its answers instead of searches"
    )
    parser.add_argument("--part", choices=("model", "edge"), help="only this one")
    arguments = parser.parse_args()
    options = dict(parse_option(text) for text in arguments.set)
    imports = imports_of(arguments.backend, arguments.device, options, [ACT])
    with tempfile.TemporaryDirectory() as folder, WarmStart(imports, print) as warm:
        bench = Bench(arguments, Path(folder), warm.launch)
        if arguments.part != "edge":
            print("| what | processes | batch | MB | predicted, off | model's error |")
            print("| --- | ---: | ---: | ---: | ---: | ---: |")
            for place in bench.places:
                bench.model(place)
        if arguments.part != "model":
            print("| what | limit, MB | found | single steps | off | tries | s |")
            print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
            for place in bench.places:
                bench.edge(place)
    return 0


if __name__ == "__main__":
    sys.exit(tidy(main))
