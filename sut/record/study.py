"""What a study found of its variants before it measured them. Written as study.json. Only data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

STUDY_FILE = "study.json"
SCHEMA = 1


class OutputCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One output beside the reference's.

    A share is the largest difference over what the tolerance allows there, atol + rtol times the
    reference: up to 1 is within. That of a wrong output says what the tolerance can tell apart.

    Attributes:
        name: of the output.
        max_difference: the largest, absolute.
        share: of the variant's output.
        wrong_share: the same of the better of two wrong outputs: the mean over all samples, which
            does not depend on the input, and those of other samples. Up to 1, both would pass.
    """

    name: str
    max_difference: float
    share: float
    wrong_share: float

    @property
    def passes(self) -> bool:
        """Whether the variant's output is within the tolerance."""
        return self.share <= 1

    @property
    def tests_nothing(self) -> bool:
        """Whether an output that does not depend on its input would pass too."""
        return self.wrong_share <= 1


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One variant.

    Attributes:
        variant: its name.
        settings: what it is, by name.
        stage: where it ended: "left out", "convert", "verify", "gate"; "measured": none of these.
        reason: why it has no figures; None if it was measured.
        warnings: what is doubtful in its verification, one sentence each.
        samples: that were compared; 0: a device without a model, whose answers mean nothing.
        outputs: all of them.
        snr_db: of the first output, in dB: the spread of the reference over the samples, over the
            error. 0 is as good as the mean over all samples.
        same: share of the samples with the same answer as the reference; None: answers are numbers.
        score: accuracy; None without labels.
        reference_score: of the reference.
    """

    variant: str
    settings: dict[str, str] = {}
    stage: str = "measured"
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    samples: int = 0
    outputs: tuple[OutputCheck, ...] = ()
    snr_db: float | None = None
    same: float | None = None
    score: float | None = None
    reference_score: float | None = None


class StudyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A study.

    Attributes:
        schema: see SCHEMA.
        title: a line for people.
        about: what it is, in a sentence or more; empty: not said.
        command: repeats it.
        gate: what a variant must reach, in words.
        verdicts: of all variants, in order.
        tables: folders with a table, relative to the study's.
    """

    schema: int = SCHEMA
    title: str
    about: str = ""
    command: str = ""
    gate: str = ""
    verdicts: tuple[Verdict, ...] = ()
    tables: tuple[str, ...] = ()


def encode(study: StudyRecord) -> str:
    """Return the text of study.json."""
    return msgspec.json.format(msgspec.json.encode(study), indent=1).decode() + "\n"


def read(path: Path) -> StudyRecord:
    """Read a study.json.

    Raises:
        DataError: it cannot be read, is none, or is of a later version of this program.
    """
    try:
        study = msgspec.json.decode(path.read_bytes(), type=StudyRecord)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: {error}; expected what `sut sweep --plan` wrote.") from error
    if study.schema > SCHEMA:
        raise DataError(f"{path}: schema {study.schema}; expected {SCHEMA} or less.")
    return study
