"""Read and check a whole user.conf. What `parse` accepts, LoadGen reads in full and exactly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.config.user_conf.effective import Entry, UserConf, is_used
from sut.config.user_conf.keys import (
    KNOWN_MODELS,
    MAX_MS,
    ROWS,
    SCENARIOS,
    SETTABLE,
    WILDCARD,
    rows_of,
)
from sut.config.user_conf.line import FORM, FRACTION, split_line
from sut.config.user_conf.wording import plain, printable, quote, unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sut.config.user_conf.keys import Key

_MAX_BYTES = 2**20
_MAX_PROBLEMS = 20  # a binary file has thousands; the first ones are enough
_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")


def load(path: Path | str, models: Collection[str]) -> UserConf:
    """Read and check a user.conf; see `parse`.

    Raises:
        ConfigError: the file is missing, not a file, not readable, not UTF-8, or wrong.
    """
    source = printable(str(path))
    return parse(_read(Path(path), source), source, models)


def parse(text: str, source: str, models: Collection[str]) -> UserConf:
    """Check the text of a user.conf.

    Args:
        text: the whole file.
        source: its path, for messages.
        models: model names allowed beside `*` and LoadGen's own (KNOWN_MODELS).

    Raises:
        ConfigError: one line a problem: `path:LINE: what came; what was expected; what to do`.
    """
    entries: dict[str, Entry] = {}
    first_line: dict[str, int] = {}
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            setting = split_line(line.removesuffix("\r"))
            if setting is None:
                continue
            name, value = setting
            before = first_line.setdefault(name, number)
            if before != number:
                raise ConfigError(
                    f"{quote(name)} is set again after line {before}; LoadGen keeps the last;"
                    f" remove line {before} or line {number}"
                )
            entries[name] = _entry(name, value, number, models)
        except ConfigError as error:
            problems.append((number, str(error)))
    conf = UserConf(source, tuple(entries.values()))
    problems += _dead(conf)
    if problems:
        raise ConfigError("\n".join(_listed(source, sorted(problems))))
    return conf


def _read(path: Path, source: str) -> str:
    try:
        # LoadGen opens a folder without an error and reads nothing from it.
        if path.exists() and not path.is_file():
            raise ConfigError(f"{source}: not a file; expected a LoadGen user.conf; name the file.")
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{source}: no such file; expected a LoadGen user.conf; check the path."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{source}: cannot be read ({reason}); expected a LoadGen user.conf; check its path and"
            " permissions."
        ) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"{source}: above 1 MiB; expected a LoadGen user.conf; check the path.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{source}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8; expected plain text;"
            " save the file as UTF-8 without a byte-order mark."
        ) from error


def _entry(name: str, value: str, line: int, models: Collection[str]) -> Entry:
    parts = name.rsplit(".", 2)  # a model's name may have dots in it: wan-2.2-t2v-a14b
    if len(parts) != len(("model", "scenario", "key")):
        raise ConfigError(f"{quote(name)} is not model.scenario.key; expected {FORM};"
                          " LoadGen ignores the line; write all three")  # fmt: skip
    model, scenario, key = parts
    if model != WILDCARD and model not in KNOWN_MODELS and model not in models:
        known = sorted({WILDCARD, *KNOWN_MODELS, *models})
        raise ConfigError(unknown("model", model, known))
    if scenario != WILDCARD and scenario not in SCENARIOS:
        raise ConfigError(unknown("scenario", scenario, (WILDCARD, *SCENARIOS)))
    return Entry(model, scenario, key, _value(key, value, _settable(key, scenario)), line)


def _settable(name: str, scenario: str) -> tuple[Key, ...]:
    """Return the rows that a line of user.conf sets, or say why it sets none."""
    rows = rows_of(name)
    if not rows:
        raise ConfigError(unknown("key", name, SETTABLE))
    if rows[0].category == "ignored":
        raise ConfigError(f"{name} in a user.conf; LoadGen reads it only from its built-in"
                          " mlperf.conf and ignores the line; remove it")  # fmt: skip
    if rows[0].category == "audit":
        raise ConfigError(f"{name} in a user.conf; it belongs to the audit.config of a compliance"
                          " test; remove it, and run the test with `sut audit`")  # fmt: skip
    here = rows_of(name, scenario)
    if not here:
        places = ", ".join(place for row in rows for place in row.scenarios)
        raise ConfigError(f"{name} has no effect in {scenario}; LoadGen uses it in {places};"
                          " remove the line or correct its scenario")  # fmt: skip
    return here


def _value(name: str, text: str, rows: tuple[Key, ...]) -> int | float:
    """Return the value if every scenario of the line reads it the same way, and as meant."""
    whole = [row for row in rows if row.kind != "fraction"]
    if whole and not _INTEGER.fullmatch(text):
        where = f" in {whole[0].scenarios[0]}" if len(whole) < len(rows) else ""
        raise ConfigError(
            f"{name} is {quote(text)}; expected a whole number{where}, in digits without a leading"
            f" 0, sign, point or exponent (LoadGen reads 6e5 as 6, 010 as 8); {_repair(text)}"
        )
    if not FRACTION.fullmatch(text):
        raise ConfigError(
            f"{name} is {quote(text)}; expected a decimal number without a sign;"
            " write it in digits, such as 12.5"
        )
    value = int(text) if _INTEGER.fullmatch(text) else float(text)
    for row in rows:
        if not row.low <= value <= row.high:
            unit = f" {row.unit}" if row.unit else ""
            raise ConfigError(
                f"{name} is {quote(text)}{unit}; expected {plain(row.low)} to {plain(row.high)}"
                f"{unit} ({row.meaning}); write a value in that range"
            )
    return value


def _repair(text: str) -> str:
    """Propose the whole number that the user meant, if that is clear."""
    if FRACTION.fullmatch(text) and float(text) <= MAX_MS and float(text).is_integer():
        return f"write {int(float(text))}"
    return "write a whole number"


def _dead(conf: UserConf) -> Iterator[tuple[int, str]]:
    """Find the entries that LoadGen never uses, whatever it runs."""
    for model in dict.fromkeys(entry.model for entry in conf.entries):
        found = {scenario: conf.lookup(model, scenario) for scenario in SCENARIOS}
        for entry in conf.entries:
            if entry.model == model and (reason := _why_dead(entry, found)):
                yield entry.line, f"{entry.name} has no effect; {reason}"


def _why_dead(entry: Entry, found: Mapping[str, Mapping[str, Entry]]) -> str:
    """Return why nothing uses `entry`; empty if its model does in some scenario. See `lookup`."""
    own = [matches for matches in found.values() if matches.get(entry.key) == entry]
    if not own:
        winners = {matches[entry.key].line for matches in found.values() if entry.key in matches}
        return (
            f"LoadGen reads line {', '.join(map(str, sorted(winners)))} instead (its order is"
            " model.scenario, *.scenario, model.*, *.*); name the scenario or remove the line"
        )
    if any(is_used(entry, matches, entry.model) for matches in own):
        return ""
    switch = ROWS[entry.key][0].needs
    return (
        f"LoadGen uses it only where {switch} is 1; add"
        f" `{entry.model}.{entry.scenario}.{switch} = 1` or remove the line"
    )


def _listed(source: str, problems: list[tuple[int, str]]) -> Iterator[str]:
    for line, problem in problems[:_MAX_PROBLEMS]:
        yield f"{source}:{line}: {problem}" + ("" if problem.endswith("?") else ".")
    if len(problems) > _MAX_PROBLEMS:
        yield f"{source}: {len(problems) - _MAX_PROBLEMS} more problems; correct these first."
