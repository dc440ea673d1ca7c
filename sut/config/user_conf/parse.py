"""Read and check a whole user.conf. What `parse` accepts, LoadGen reads in full and exactly."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, closest_names
from sut.config.user_conf.effective import Entry, UserConf, is_used
from sut.config.user_conf.keys import (
    KNOWN_MODELS,
    ROWS,
    SCENARIOS,
    SETTABLE,
    TODAY,
    WILDCARD,
    rows_of,
)
from sut.config.user_conf.line import FORM, FRACTION, split_line
from sut.config.user_conf.wording import plain, printable, quote, unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sut.config.user_conf.keys import Key

_MAX_BYTES = 2**20
_MAX_PROBLEMS = 20  # a binary file has thousands; the first ones are enough
_ELSEWHERE = {
    "ignored": "LoadGen reads it only from its built-in mlperf.conf and ignores the line; remove"
    " it",
    "audit": "it belongs to the audit.config of a compliance test; remove it, and run the test with"
    " `sut audit`",
}
_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")


def load(path: Path | str, models: Collection[str], *, strict: bool = False) -> UserConf:
    """Read and check a user.conf; see `parse`.

    Raises:
        ConfigError: the file is missing, not a file, not readable, not UTF-8, or wrong.
    """
    source = printable(str(path))
    return parse(_read(Path(path), source), source, models, strict=strict)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line.

    Attributes:
        line: from 1.
        text: what came, what was expected, what to do; without the file's name.
        harmless: the line has no effect, and LoadGen runs as it says all the same.
    """

    line: int
    text: str
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A user.conf that may be wrong: what LoadGen reads of it, and what is wrong, by line."""

    conf: UserConf
    problems: tuple[Problem, ...]


def parse(text: str, source: str, models: Collection[str], *, strict: bool = False) -> UserConf:
    """Check the text of a user.conf.

    Args:
        text: the whole file.
        source: its path, for messages.
        models: model names allowed beside `*` and LoadGen's own (KNOWN_MODELS).
        strict: refuse harmless lines without effect, too.

    Raises:
        ConfigError: one line a problem: `path:LINE: what came; what was expected; what to do`.
    """
    reading = read(text, source, models)
    wrong = [problem for problem in reading.problems if strict or not problem.harmless]
    if wrong:
        raise ConfigError("\n".join(_listed(source, wrong)))
    return replace(reading.conf, warnings=tuple(_listed(source, reading.problems)))


def read(text: str, source: str, models: Collection[str]) -> Reading:
    """Read every line of a user.conf, also where others are wrong; arguments as in `parse`."""
    entries: dict[str, Entry] = {}
    first: dict[str, tuple[int, str]] = {}
    problems: list[Problem] = []
    unread: list[tuple[int, str, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            setting = split_line(line.removesuffix("\r"))
            if setting is None:
                continue
            name, value = setting
            _, _, key = _placed(name, models)
            before, earlier = first.setdefault(name, (number, value))
            if before != number:
                problems.append(_again(name, number, before, same=earlier == value))
            if key in SETTABLE:
                entries[name] = _entry(name, value, number, models)
            elif before == number:
                unread.append((number, name, value))
        except ConfigError as error:
            problems.append(Problem(number, str(error)))
    conf = UserConf(source, tuple(entries.values()))
    problems += _dead(conf)
    problems += (_unread(*setting, conf, models) for setting in unread)
    return Reading(conf, tuple(sorted(problems, key=lambda problem: problem.line)))


def _again(name: str, line: int, before: int, *, same: bool) -> Problem:
    if same:
        return Problem(
            line,
            f"{quote(name)} is set in line {before} to the same value; no effect; remove the line",
            harmless=True,
        )
    return Problem(
        line,
        f"{quote(name)} is set again after line {before}; LoadGen keeps the last;"
        f" remove line {before} or line {line}",
    )


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
    model, scenario, key = _placed(name, models)
    return Entry(model, scenario, key, _value(key, value, _settable(key, scenario)), line)


def _placed(name: str, models: Collection[str]) -> tuple[str, str, str]:
    """Return model, scenario and key of a line, of which the first two are known."""
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
    return model, scenario, key


def _settable(name: str, scenario: str) -> tuple[Key, ...]:
    """Return the rows that a line of user.conf sets, or say why it sets none."""
    rows = rows_of(name)
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
            f" 0, sign, point or exponent (LoadGen reads 6e5 as 6, 010 as 8);"
            f" {_repair(text, rows)}"
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


def _repair(text: str, rows: tuple[Key, ...]) -> str:
    """Propose the whole number that the user meant, if that is clear and allowed."""
    low, high = max(row.low for row in rows), min(row.high for row in rows)
    if FRACTION.fullmatch(text) and low <= float(text) <= high and float(text).is_integer():
        return f"write {int(float(text))}"
    return f"write a whole number from {plain(math.ceil(low))} to {plain(high)}"


def _unread(line: int, name: str, value: str, conf: UserConf, models: Collection[str]) -> Problem:
    """Say why LoadGen reads no such key, and what to do so that the next check accepts it."""
    model, scenario, key = _placed(name, models)
    rows = ROWS.get(key)
    if rows:  # LoadGen knows it, and not from here
        return Problem(line, f"{key} in a user.conf; {_ELSEWHERE[rows[0].category]}")
    meant = TODAY.get(key, "")
    same = [
        entry
        for entry in conf.entries
        if entry.key == meant
        and (entry.model == model or WILDCARD in (entry.model, model))
        and (entry.scenario == scenario or WILDCARD in (entry.scenario, scenario))
    ]
    if same and all(plain(entry.value) == value for entry in same):
        return Problem(
            line,
            f"{key} has no effect: LoadGen reads {meant}, which is {value}, too; remove the line",
            harmless=True,
        )
    return Problem(line, _unknown_key(name, value, conf, models))


def _unknown_key(name: str, value: str, conf: UserConf, models: Collection[str]) -> str:
    """Propose the key that was meant if LoadGen would read the line then; else its removal."""
    model, scenario, key = _placed(name, models)
    known = {entry.name: entry for entry in conf.entries}
    closest = [TODAY[key]] if key in TODAY else closest_names(key, SETTABLE)
    for meant in closest:
        corrected = f"{model}.{scenario}.{meant}"
        if corrected in known:
            return (
                f"key {quote(key)} is unknown, and LoadGen ignores it in silence; line"
                f" {known[corrected].line} sets {meant}; remove this line"
            )
        with suppress(ConfigError):
            _entry(corrected, value, 0, models)
            return (
                f"key {quote(key)} is unknown, and LoadGen ignores it in silence."
                f' Did you mean "{meant}"?'
            )
    if closest:
        return f"key {quote(key)} is unknown, and LoadGen ignores it in silence; remove the line"
    return unknown("key", key, SETTABLE)


def _dead(conf: UserConf) -> Iterator[Problem]:
    """Find the entries that LoadGen never uses, whatever it runs."""
    for model in dict.fromkeys(entry.model for entry in conf.entries):
        found = {scenario: conf.lookup(model, scenario) for scenario in SCENARIOS}
        for entry in conf.entries:
            if entry.model == model and (reason := _why_dead(entry, found)):
                harmless = all(
                    matches[entry.key].value == entry.value
                    for matches in found.values()
                    if entry.key in matches and matches[entry.key] is not entry
                ) and not any(matches.get(entry.key) is entry for matches in found.values())
                yield Problem(entry.line, f"{entry.name} has no effect; {reason}", harmless)


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


def _listed(source: str, problems: Sequence[Problem]) -> Iterator[str]:
    for problem in problems[:_MAX_PROBLEMS]:
        end = "" if problem.text.endswith("?") else "."
        yield f"{source}:{problem.line}: {problem.text}{end}"
    if len(problems) > _MAX_PROBLEMS:
        yield f"{source}: {len(problems) - _MAX_PROBLEMS} more problems; correct these first."
