"""Check a LoadGen user.conf before LoadGen reads it, and write ones that it reads as meant.

LoadGen ignores a misspelt name without a word, reads `6e5` as 6 and `010` as 8, and drops the whole
file for a trailing comment (loadgen/test_settings_internal.cc, `TestSettings::FromConfig`). What
`parse` accepts, LoadGen reads in full and exactly. Knows nothing of runs: it imports no LoadGen.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, nearest
from sut.config.user_conf_keys import (
    BUILT_IN,
    CHECKER_OFFLINE_SAMPLES,
    CLOSED_MINIMUM,
    CLOSED_OFF,
    KNOWN_MODELS,
    LIBRARY_OWN,
    MAX_MS,
    ROWS,
    SCENARIOS,
    SETTABLE,
    WILDCARD,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sut.config.user_conf_keys import Key

_MAX_BYTES = 2**20
_MAX_PROBLEMS = 20  # a binary file has thousands; the first ones tell enough
_MAX_QUOTE = 60
_BLANKS = "\t\v\f\r "  # what C++ `>>` skips; str.split() would skip much more
_TOKEN = re.compile(rf"[^{_BLANKS}]+")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")
_FRACTION = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MODEL = re.compile(r"\*|[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_FORM = "`model.scenario.key = value`, for example `*.Server.target_qps = 100`"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of user.conf; `value` is in the unit of the file (times in ms), `line` from 1."""

    model: str
    scenario: str
    key: str
    value: int | float
    line: int

    @property
    def name(self) -> str:
        """`model.scenario.key`, as LoadGen's parser stores it."""
        return f"{self.model}.{self.scenario}.{self.key}"


@dataclass(frozen=True, slots=True)
class UserConf:
    """A checked user.conf: every entry is read by LoadGen for some model and scenario."""

    source: str
    entries: tuple[Entry, ...]

    def effective(self, model: str, scenario: str) -> dict[str, Entry]:
        """Return by key what LoadGen reads for `model` in `scenario`, in the order of the file.

        The first of model.scenario.key, *.scenario.key, model.*.key, *.*.key wins: a wildcard
        model with the scenario beats the model with a wildcard scenario.

        Raises:
            ConfigError: LoadGen has no such scenario.
        """
        if scenario not in SCENARIOS:
            raise ConfigError(_unknown("scenario", scenario, SCENARIOS))
        found = self.lookup(model, scenario)
        return {key: entry for key, entry in found.items() if _is_used(entry, found, model)}

    def open_only(self, model: str, scenario: str) -> list[Entry]:
        """Return the entries that make a result of `model` in `scenario` open-division only."""
        return [
            entry
            for entry in self.effective(model, scenario).values()
            if _rows(entry.key, scenario)[0].category == "open_only"
        ]

    def closed_problems(self, model: str, scenario: str) -> list[str]:
        """Explain what a closed submission of `model` in `scenario` may not have; one line each."""
        return [
            f"{self.source}:{entry.line}: {entry.name} = {_plain(entry.value)}: {problem}"
            for entry in self.effective(model, scenario).values()
            if (problem := _closed_problem(entry, model, scenario))
        ]

    def lookup(self, model: str, scenario: str) -> dict[str, Entry]:
        """Return the entry that LoadGen finds for each key; `effective` is those that it uses."""
        by_name = {entry.name: entry for entry in self.entries}
        places = ((model, scenario), ("*", scenario), (model, "*"), ("*", "*"))
        found = {}
        for key in dict.fromkeys(entry.key for entry in self.entries if _rows(entry.key, scenario)):
            matches = (by_name.get(f"{m}.{s}.{key}") for m, s in places)
            entry = next((match for match in matches if match), None)
            if entry:
                found[key] = entry
        return found


def load(path: Path | str, models: Collection[str]) -> UserConf:
    """Read and check a user.conf; see `parse`.

    Raises:
        ConfigError: the file is missing, not a file, not readable, not UTF-8, or wrong.
    """
    source = _source(str(path))
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
            setting = _split(line.removesuffix("\r"))
            if setting is None:
                continue
            name, value = setting
            before = first_line.setdefault(name, number)
            if before != number:
                raise ConfigError(
                    f"{_quote(name)} is set again after line {before}; LoadGen keeps the last;"
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


def render(model: str, scenario: str, values: Mapping[str, int | float]) -> str:
    """Return the text of a user.conf that sets `values`, by key and in user.conf's units.

    LoadGen reads back exactly these values for `model` (`*` for all) in `scenario`.

    Raises:
        ConfigError: a name or value that `parse` refuses.
    """
    source = f"settings for {_quote(model)} in {_quote(scenario)}"
    if not _MODEL.fullmatch(model):
        raise ConfigError(f"{source}: a model's name has letters, digits and `_ . + -`; rename it.")
    for name in values:
        if name not in ROWS:
            raise ConfigError(f"{source}: {_unknown('key', name, ROWS)}")
    lines = [f"{model}.{scenario}.{name} = {_plain(value)}\n" for name, value in values.items()]
    text = "".join(lines)
    parse(text, source, (model,))
    return text


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


def _split(line: str) -> tuple[str, str] | None:
    """Return the name and the value of a line, or None for a blank line or a comment."""
    if "\0" in line:
        raise ConfigError("a NUL character; expected plain text; save the file as UTF-8")
    if "\r" in line:
        raise ConfigError("a carriage return inside the line; expected one setting a line;"
                          " save the file with Unix line ends")  # fmt: skip
    tokens = _TOKEN.findall(line)
    if not tokens or _is_comment(tokens):
        return None
    for character in line:
        if not character.isprintable() and character not in _BLANKS:
            title = unicodedata.name(character, "a control character")
            raise ConfigError(
                f"U+{ord(character):04X} ({title}) in the line; LoadGen takes it for a part of the"
                " name or value; replace it with a space or remove it"
            )
    if tokens[1:2] == ["="] and len(tokens) == len(("name", "=", "value")):
        return tokens[0], tokens[2]
    raise ConfigError(_syntax_problem(tokens))


def _is_comment(tokens: list[str]) -> bool:
    """Tell a comment that LoadGen skips, too.

    It knows `# text`, and reads `#text` as a name, which is harmless alone or as a whole setting
    and otherwise makes it refuse the file.
    """
    if not tokens[0].startswith("#"):
        return False
    whole = tokens[1:2] == ["="] and all(_FRACTION.fullmatch(token) for token in tokens[2:])
    if tokens[0] == "#" or len(tokens) == 1 or whole:
        return True
    raise ConfigError(
        f"{_quote(' '.join(tokens))}: LoadGen can refuse the whole file for it;"
        " a comment needs a space after its #; write `# ...`"
    )


def _syntax_problem(tokens: list[str]) -> str:
    line = _quote(" ".join(tokens))
    if tokens[1:2] == ["="]:
        if tokens[2:3] in ([], ["#"]):
            return f"{line} has no value; expected {_FORM}; add the value or remove the line"
        if tokens[3].startswith("#"):
            return (
                f"{line}: a comment after the value, for which LoadGen refuses the whole file;"
                " expected the value last; put the comment on a line of its own"
            )
        return (
            f"{line} has {len(tokens) - 2} values, of which LoadGen takes the last;"
            f" expected {_FORM}; keep one value"
        )
    if any("=" in token and token != "=" for token in tokens):
        return (
            f"{line}: no space on both sides of =, so LoadGen ignores or refuses it;"
            f" expected {_FORM}; add the spaces"
        )
    return f"{line} is not a setting; expected {_FORM}; correct it, or start the line with `# `"


def _entry(name: str, value: str, line: int, models: Collection[str]) -> Entry:
    parts = name.rsplit(".", 2)  # a model's name may have dots in it: wan-2.2-t2v-a14b
    if len(parts) != len(("model", "scenario", "key")):
        raise ConfigError(f"{_quote(name)} is not model.scenario.key; expected {_FORM};"
                          " LoadGen ignores the line; write all three")  # fmt: skip
    model, scenario, key = parts
    if model != WILDCARD and model not in KNOWN_MODELS and model not in models:
        known = sorted({WILDCARD, *KNOWN_MODELS, *models})
        raise ConfigError(_unknown("model", model, known))
    if scenario != WILDCARD and scenario not in SCENARIOS:
        raise ConfigError(_unknown("scenario", scenario, (WILDCARD, *SCENARIOS)))
    return Entry(model, scenario, key, _value(key, value, _settable(key, scenario)), line)


def _settable(name: str, scenario: str) -> tuple[Key, ...]:
    """Return the rows that a line of user.conf sets, or say why it sets none."""
    rows = _rows(name)
    if not rows:
        raise ConfigError(_unknown("key", name, SETTABLE))
    if rows[0].category == "ignored":
        raise ConfigError(f"{name} in a user.conf; LoadGen reads it only from its built-in"
                          " mlperf.conf and ignores the line; remove it")  # fmt: skip
    if rows[0].category == "audit":
        raise ConfigError(f"{name} in a user.conf; it belongs to the audit.config of a compliance"
                          " test; remove it, and run the test with `sut audit`")  # fmt: skip
    here = _rows(name, scenario)
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
            f"{name} is {_quote(text)}; expected a whole number{where}, in digits without a leading"
            f" 0, sign, point or exponent (LoadGen reads 6e5 as 6, 010 as 8); {_repair(text)}"
        )
    if not _FRACTION.fullmatch(text):
        raise ConfigError(
            f"{name} is {_quote(text)}; expected a decimal number without a sign;"
            " write it in digits, such as 12.5"
        )
    value = int(text) if _INTEGER.fullmatch(text) else float(text)
    for row in rows:
        if not row.low <= value <= row.high:
            unit = f" {row.unit}" if row.unit else ""
            raise ConfigError(
                f"{name} is {_quote(text)}{unit}; expected {_plain(row.low)} to {_plain(row.high)}"
                f"{unit} ({row.meaning}); write a value in that range"
            )
    return value


def _repair(text: str) -> str:
    """Propose the whole number that the user meant, if that is clear."""
    if _FRACTION.fullmatch(text) and float(text) <= MAX_MS and float(text).is_integer():
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
    """Say why nothing uses `entry`; empty if its model does in some scenario. See `lookup`."""
    own = [matches for matches in found.values() if matches.get(entry.key) == entry]
    if not own:
        winners = {matches[entry.key].line for matches in found.values() if entry.key in matches}
        return (
            f"LoadGen reads line {', '.join(map(str, sorted(winners)))} instead (its order is"
            " model.scenario, *.scenario, model.*, *.*); name the scenario or remove the line"
        )
    if any(_is_used(entry, matches, entry.model) for matches in own):
        return ""
    switch = ROWS[entry.key][0].needs
    return (
        f"LoadGen uses it only where {switch} is 1; add"
        f" `{entry.model}.{entry.scenario}.{switch} = 1` or remove the line"
    )


def _is_used(entry: Entry, found: Mapping[str, Entry], model: str) -> bool:
    needs = ROWS[entry.key][0].needs
    if needs is None:
        return True
    switch = found.get(needs)
    return (switch.value if switch else _built_in(model, "*", needs)) == 1


def _closed_problem(entry: Entry, model: str, scenario: str) -> str:
    """Return what is wrong with `entry` in closed; empty if nothing is."""
    key, value = entry.key, entry.value
    minimum = _built_in(model, scenario, key)
    if (scenario, key) == ("Offline", "min_query_count"):
        minimum = minimum or CHECKER_OFFLINE_SAMPLES.get(model)
    shortest = _built_in(model, scenario, "min_duration") or 0
    own_count = key in LIBRARY_OWN and value == 0
    rules = (
        (_rows(key, scenario)[0].category == "open_only", "it makes the result open-division only"),
        (
            key in CLOSED_MINIMUM and not own_count and value < (minimum or 0),
            f"closed asks for at least {minimum}",
        ),
        (key in CLOSED_OFF and value, "only a compliance test may set it"),
        (
            key == "accuracy_sample_count_override" and not own_count and value != minimum,
            f"accuracy in closed runs {minimum or 'all'} samples",
        ),
        (
            key == "max_duration" and 0 < value < shortest,
            f"the run would end before the {shortest} ms of closed",
        ),
    )
    return next((f"{text}; remove the line." for broken, text in rules if broken), "")


def _built_in(model: str, scenario: str, key: str) -> int | None:
    """Look up what LoadGen's mlperf.conf sets; None where BUILT_IN has nothing."""
    for place in dict.fromkeys((scenario, "*")):
        by_model = BUILT_IN.get((place, key), {})
        if model in by_model or "*" in by_model:
            return by_model.get(model, by_model.get("*"))
    return None


def _rows(name: str, scenario: str = WILDCARD) -> tuple[Key, ...]:
    """Return the rows of a key, all or those of one scenario."""
    return tuple(row for row in ROWS.get(name, ()) if scenario in (WILDCARD, *row.scenarios))


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    """Say that LoadGen ignores `name`, and what it may have meant."""
    guess = nearest(name[:_MAX_QUOTE], known)
    if guess:
        return f"{what} {_quote(name)} is unknown, and LoadGen ignores it in silence.{guess}"
    return (
        f"{what} {_quote(name)} is unknown, and LoadGen ignores it in silence;"
        f" expected {', '.join(sorted(known))}; correct it or remove the line"
    )


def _listed(source: str, problems: list[tuple[int, str]]) -> Iterator[str]:
    for line, problem in problems[:_MAX_PROBLEMS]:
        yield f"{source}:{line}: {problem}" + ("" if problem.endswith("?") else ".")
    if len(problems) > _MAX_PROBLEMS:
        yield f"{source}: {len(problems) - _MAX_PROBLEMS} more problems; correct these first."


def _plain(value: float) -> str:
    """Print a number in digits: no exponent, and as many digits as it takes to read it back."""
    if isinstance(value, int):
        return str(int(value))  # a bool prints as a word otherwise
    number = float(value)
    return str(int(number)) if number.is_integer() else format(Decimal(repr(number)), "f")


def _quote(text: str) -> str:
    """Quote text of the file for a message: one line, printable, not too long."""
    return repr(text if len(text) <= _MAX_QUOTE else text[:_MAX_QUOTE] + "...")


def _source(path: str) -> str:
    return path if path.isprintable() else repr(path)
