"""Find and load a benchmark: a YAML file with model, data and rules.

Opens neither the model nor the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data.harness_defaults import HarnessDefaults
from data.schema import BenchmarkSpec, RoundRules
from data.strict_yaml import load_strict
from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

K = TypeVar("K")
V = TypeVar("V")

FOLDER = Path(__file__).resolve().parent / "benchmarks"


class Benchmark(BenchmarkSpec, frozen=True, kw_only=True):
    """A loaded benchmark. Its structures are documented in data.schema.

    Attributes:
        file: the YAML file; relative paths in it start at its folder.
    """

    file: Path

    @property
    def loadgen_name(self) -> str:
        """The model's name in mlperf.conf and user.conf."""
        return self.loadgen_model or self.name

    def rules(self, scenario: str, round_: str = "current") -> RoundRules:
        """Return the rules of `round_` for `scenario`; without an entry every field is None."""
        by_scenario = _entry(self.rounds, round_)
        return (by_scenario and _entry(by_scenario, scenario)) or RoundRules()

    def harness_defaults(self, scenario: str) -> HarnessDefaults:
        """Return the harness defaults of `scenario`; without an entry every field is None."""
        return _entry(self.harness, scenario) or HarnessDefaults()


def _entry(mapping: Mapping[K, V], key: str) -> V | None:
    return next((value for known, value in mapping.items() if known == key), None)


def benchmark_names() -> tuple[str, ...]:
    """Return the names of the benchmarks that come with this program."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_benchmark(name_or_path: str) -> Benchmark:
    """Load a benchmark by its name, or from a YAML file.

    Raises:
        ConfigError: no such benchmark or file, or a mistake in it, with its line.
    """
    path = _find(name_or_path)
    spec = load_strict(path, BenchmarkSpec)
    fields = {field: getattr(spec, field) for field in spec.__struct_fields__}
    return Benchmark(file=path.absolute(), **fields)


def _find(name_or_path: str) -> Path:
    shipped = FOLDER / f"{name_or_path}.yaml"
    if name_or_path in benchmark_names():
        return shipped
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if path.is_file():
            return path
        raise ConfigError(f"{path}: no such file; expected a benchmark's YAML file.")
    known = benchmark_names()
    raise ConfigError(
        f'benchmark "{name_or_path}" does not exist; expected one of {", ".join(known)}, or a path '
        f"to a YAML file.{nearest(name_or_path, known)}"
    )
