"""Objective and constraints as text: `throughput`, `p99<=15ms`, `power<=70W`; parsed and checked.

Knows names, units and comparisons. The figures of a run come as a mapping.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Each figure: its possible units, with the factor to the first.
LATENCIES = ("mean", "p50", "p90", "p95", "p97", "p99", "p999")
_TIME = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_UNITS: dict[str, dict[str, float]] = {
    **dict.fromkeys(LATENCIES, _TIME),
    "throughput": {"/s": 1.0, "": 1.0},
    "batch": {"": 1.0, "samples": 1.0},
    "busy": {"": 1.0, "%": 0.01},
    "power": {"W": 1.0},
    "mem": {"B": 1.0, "MiB": 2.0**20, "GiB": 2.0**30},
    "acc": {"": 1.0, "%": 0.01},
}
_FORM = re.compile(
    r"\s*([A-Za-z0-9]+)\s*(<=|>=)\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z/%]*)\s*"
)
# Figures of every run that a constraint may name, and figures of devices that report them.
FIGURES = (*LATENCIES, "throughput", "batch", "busy")
DEVICE_FIGURES = ("power", "mem")
# Each objective: the direction in which it is better.
OBJECTIVES = {"throughput": 1.0, **dict.fromkeys(LATENCIES, -1.0)}
# Figures that fall with the load; a confirmation lowers the load until they are within the limit.
FOLLOWED = ("busy", "power")
EXAMPLE = 'such as "p99<=15ms"'


@dataclass(frozen=True, slots=True)
class Constraint:
    """`name` is at most (or at least) `limit`, in the unit of the figure (times in ns)."""

    name: str
    at_most: bool
    limit: float
    text: str

    def slack(self, value: float) -> float:
        """Return the remaining room as a share of the limit; below 0: broken."""
        room = self.limit - value if self.at_most else value - self.limit
        return room / self.limit if self.limit else room


def parse(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """Read constraints; each text may hold several with commas.

    Raises:
        ConfigError: a text is not a constraint, or its figure or unit does not exist.
    """
    parts = [part for text in texts for part in text.split(",") if part.strip()]
    return tuple(_parse(part) for part in parts)


def objective(text: str) -> str:
    """Return the figure to optimize.

    Raises:
        ConfigError: there is no such objective.
    """
    if text not in OBJECTIVES:
        raise ConfigError(
            f'--objective: "{text}" is not one of {", ".join(OBJECTIVES)}.'
            f"{nearest(text, OBJECTIVES)}"
        )
    return text


def check(constraints: Iterable[Constraint], has_telemetry: bool) -> None:
    """Refuse a constraint on a figure that no run measures.

    Args:
        constraints: as parsed.
        has_telemetry: the devices report power and memory.

    Raises:
        ConfigError: a figure is not measured.
    """
    measured = (*FIGURES, *DEVICE_FIGURES) if has_telemetry else FIGURES
    for constraint in constraints:
        if constraint.name not in measured:
            raise ConfigError(
                f'--subject-to "{constraint.text}": nothing measures {constraint.name} in this '
                f"run; measured are {', '.join(measured)}."
            )


def broken(
    constraints: Sequence[Constraint], figures: Mapping[str, float]
) -> list[tuple[Constraint, float]]:
    """Return the constraints in FOLLOWED that a run broke, each with its figure."""
    return [
        (c, figures[c.name])
        for c in constraints
        if c.name in FOLLOWED and c.at_most and figures.get(c.name, 0.0) > c.limit
    ]


def _parse(text: str) -> Constraint:
    matched = _FORM.fullmatch(text)
    if matched is None:
        raise ConfigError(
            f'--subject-to: "{text.strip()}" is not a constraint; expected a figure, <= or >=, '
            f"and a number with its unit, {EXAMPLE}."
        )
    name, sign, number, unit = matched.groups()
    if name not in _UNITS:
        raise ConfigError(
            f'--subject-to "{text.strip()}": there is no figure "{name}"; known are '
            f"{', '.join(_UNITS)}.{nearest(name, _UNITS)}"
        )
    factors = _UNITS[name]
    if unit not in factors:
        expected = ", ".join(repr(known) if known else "none" for known in factors)
        raise ConfigError(
            f'--subject-to "{text.strip()}": {name} has no unit "{unit}"; expected {expected}.'
        )
    try:
        limit = float(number) * factors[unit]
    except ValueError as error:
        raise ConfigError(
            f'--subject-to "{text.strip()}": "{number}" is not a number, {EXAMPLE}.'
        ) from error
    return Constraint(name, sign == "<=", limit, text.strip())
