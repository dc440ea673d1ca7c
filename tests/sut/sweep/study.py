"""The offline tables of NVIDIA's study of TFT on Triton, from the curves that come with us."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from backends.simulated.curve import CURVES_DIR
from sut.record.table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Mapping


def lines() -> list[dict[str, str]]:
    with (CURVES_DIR / "tft-fp16.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def table(gpu: str, backend: str, dataset: str) -> Table:
    wanted = {"gpu": gpu, "backend": backend, "dataset": dataset}
    found = [line for line in lines() if wanted.items() <= line.items()]
    rows = tuple(Row(point={"batch": int(line["batch"])}, figures=_figures(line)) for line in found)
    return Table(
        title="TFT on Triton", source="study", load="offline", configuration=wanted, rows=rows
    )


def _figures(line: Mapping[str, str]) -> dict[str, float]:
    return {
        "samples_per_s": float(line["inferences_per_second"]),
        "latency_p99_ns": float(line["p99_latency_ms"]) * 1e6,
    }
