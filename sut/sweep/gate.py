"""Whether a variant's answers are good enough to measure it: tolerances, and the gate.

Pure: answers in, a verdict out. Runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import structs

from data.tasks import judge_of_records
from sut.base.errors import ConfigError
from sut.models.verification import check_output, signal_to_noise_db
from sut.record.study import Verdict
from sut.sweep.plan_file import ANY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data.preprocess import SampleSet
    from data.tasks.base import Postprocess
    from sut.models.answers import Answers
    from sut.record.study import OutputCheck
    from sut.sweep.plan_file import Gate, Tolerances


@dataclass(frozen=True, slots=True)
class Reference:
    """What variants are compared with.

    Attributes:
        answers: of the benchmark's own model.
        samples: of the benchmark.
        rows: of them that were run.
        postprocess: tells whether answers can be compared or judged.
    """

    answers: Answers
    samples: SampleSet
    rows: Sequence[int]
    postprocess: Postprocess


def judge(variant: str, reference: Reference, found: Answers, tolerances: Tolerances) -> Verdict:
    """Compare a variant with the reference; the gate is not asked yet.

    Args:
        variant: its name.
        reference: what it is compared with.
        found: its answers to the same samples.
        tolerances: by output.

    Raises:
        ConfigError: an output has no tolerance.
    """
    exact, rows, postprocess = reference.answers, reference.rows, reference.postprocess
    first = next(iter(exact.outputs))
    if (shapes := _shapes(exact)) != (others := _shapes(found)):
        reason = f"its outputs are {others}, those of the reference {shapes}"
        return Verdict(variant=variant, stage="verify", samples=len(rows), reason=reason)
    same = None
    if postprocess.comparable:
        pairs = zip(exact.records, found.records, strict=True)
        same = sum(one == other for one, other in pairs) / len(rows)
    checks = tuple(_check(name, exact, found, tolerances) for name in exact.outputs)
    verdict = Verdict(
        variant=variant,
        samples=len(rows),
        outputs=checks,
        warnings=tuple(_warning(check) for check in checks if check.tests_nothing),
        snr_db=signal_to_noise_db(exact.outputs[first], found.outputs[first]),
        same=same,
        score=_score(reference, found),
        reference_score=_score(reference, exact),
    )
    outside = [check for check in checks if not check.passes]
    if not outside:
        return verdict
    worst = max(outside, key=lambda check: check.share)
    reason = (
        f"output {worst.name} differs by up to {worst.max_difference:.3g}, "
        f"{worst.share:.3g} times what its tolerance allows"
    )
    return structs.replace(verdict, stage="verify", reason=reason)


def _score(reference: Reference, answers: Answers) -> float | None:
    """Return the accuracy; None without labels, or if nothing here can judge."""
    maker, labels = judge_of_records(reference.postprocess), reference.samples.labels
    if maker is None or labels is None:
        return None
    pairs = zip(reference.rows, answers.records, strict=True)
    read = {row: maker.read_answer(record, f"sample {row}") for row, record in pairs}
    return maker.score(read, labels).value


def _check(name: str, exact: Answers, found: Answers, tolerances: Tolerances) -> OutputCheck:
    tolerance = tolerances.get(name) or tolerances.get(ANY)
    if tolerance is None:
        raise ConfigError(
            f'verify.tolerance: none for output "{name}"; expected one for it, or for "{ANY}".'
        )
    one, other = exact.outputs[name], found.outputs[name]
    return check_output(name, one, other, tolerance.atol, tolerance.rtol)


def _shapes(answers: Answers) -> str:
    return ", ".join(f"{name} {list(array.shape[1:])}" for name, array in answers.outputs.items())


def _warning(check: OutputCheck) -> str:
    return (
        f"the tolerance of output {check.name} tests nothing: an output that does not depend on "
        f"its input is within {check.wrong_share:.2g} of it"
    )


def through(verdict: Verdict, gate: Gate) -> Verdict:
    """Ask the gate of a variant that is within its tolerances."""
    ratio = _ratio(verdict)
    limits: Mapping[str, tuple[float | None, float | None, str]] = {
        "least_snr_db": (gate.least_snr_db, verdict.snr_db, "the first output's SNR in dB"),
        "least_same": (gate.least_same, verdict.same, "the share of the same answers"),
        "least_score": (gate.least_score, ratio, "the score over the reference's"),
    }
    for key, (least, value, what) in limits.items():
        if least is None:
            continue
        if value is None:
            reason = (
                f"gate.{key}: this benchmark has no labels or classes to tell; use least_snr_db"
            )
            return structs.replace(verdict, stage="gate", reason=reason)
        if value < least:
            reason = f"{what} is {value:.4g}; the gate asks for {least:.4g} or more"
            return structs.replace(verdict, stage="gate", reason=reason)
    return verdict


def _ratio(verdict: Verdict) -> float | None:
    if verdict.score is None or verdict.reference_score is None:
        return None
    return verdict.score / verdict.reference_score if verdict.reference_score else 1.0


def in_words(gate: Gate | None) -> str:
    """Return what a gate asks for."""
    if gate is None:
        return "none, as no variant has a model"
    limits = {
        "SNR of the first output at least {:g} dB": gate.least_snr_db,
        "at least {:.4g} of the answers the same": gate.least_same,
        "at least {:.4g} of the reference's score": gate.least_score,
    }
    return "; ".join(text.format(v) for text, v in limits.items() if v is not None)
