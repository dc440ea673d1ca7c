"""What the page of a tuning tells; written as report.json and read back for another page.

Only data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from sut.base.errors import DataError
from sut.serve.service_times import Measured
from sut.tuner.job import Job
from sut.tuner.messages import Answer, Measure, Outcome, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.tuner.job import Variant
    from sut.tuner.messages import Ask, Reply

DATA_FILE = "report.json"
# Of every run, in the table of trials.
PERCENTILES = ("p50", "p90", "p99")
# The fields that are no type of the tuner.
_PLAIN: dict[str, Any] = {
    "title": str,
    "command": str,
    "started": str,
    "simulated": bool,
    "configuration": dict[str, tuple[str, str]],
    "environment": dict[str, object],
    "stopped": str,
}


@dataclass(frozen=True, slots=True)
class Story:
    """The content of a report.

    Attributes:
        title: what was tuned.
        command: the command of the tuning.
        started: ISO 8601 time.
        simulated: no real engine ran.
        configuration: the settings that the tuning began with, each with its source.
        environment: of the machine, by name.
        job: the task.
        entries: questions and answers in order.
        answer: None if the tuning did not finish.
        stopped: why not.
    """

    title: str
    command: str
    started: str
    simulated: bool
    configuration: dict[str, tuple[str, str]]
    environment: dict[str, object]
    job: Job
    entries: Sequence[tuple[Ask, Reply]] = field(default_factory=list)
    answer: Answer | None = None
    stopped: str = ""

    @property
    def trials(self) -> list[tuple[Trial, Outcome]]:
        """The runs in order."""
        return [(a, r) for a, r in self.entries if isinstance(a, Trial) and isinstance(r, Outcome)]

    @property
    def measured(self) -> list[tuple[Variant, Measured]]:
        """S(b) by variant: sizes that were measured later are added to the first ones."""
        found: dict[Variant, Measured] = {}
        for ask, reply in self.entries:
            if isinstance(ask, Measure) and isinstance(reply, Measured):
                before = found.get(ask.variant)
                found[ask.variant] = reply if before is None else before.with_more(reply)
        return list(found.items())


def configuration(plan: Plan) -> dict[str, tuple[str, str]]:
    """Return the settings of a plan in words, each with its source."""
    return {
        name: (str(setting.value), setting.source)
        for name, setting in plan.settings.items()
        if setting.value not in ("", {})
    }


def write(path: Path, story: Story) -> None:
    """Write a story as JSON."""
    plain = msgspec.to_builtins(story, str_keys=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def read(path: Path) -> Story:
    """Read a story back.

    Raises:
        DataError: the file is not the story of a tuning, or an older version of this program wrote
            it.
    """
    try:
        plain = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        story = Story(
            **{name: msgspec.convert(plain[name], kind) for name, kind in _PLAIN.items()},
            job=msgspec.convert(plain["job"], Job, strict=False),
            entries=[_entry(ask, reply) for ask, reply in plain["entries"]],
            answer=msgspec.convert(plain["answer"], Answer | None, strict=False),
        )
        wanted = {*PERCENTILES, *(bound.name for bound in story.job.bounds)}
        if any(not wanted <= run.latency_ns.keys() for _, run in story.trials):
            raise ValueError(f"a run without {', '.join(sorted(wanted))}")
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        msgspec.MsgspecError,
    ) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path}: {what}; expected what `sut tune` of this version writes. Run the tuning's "
            "command again: it measures nothing twice."
        ) from error
    return story


def _entry(ask: dict[str, object], reply: object) -> tuple[Ask, Reply]:
    if "purpose" in ask:
        return (
            msgspec.convert(ask, Trial, strict=False),
            msgspec.convert(reply, Outcome, strict=False),
        )
    return (
        msgspec.convert(ask, Measure, strict=False),
        msgspec.convert(reply, Measured, strict=False),
    )
