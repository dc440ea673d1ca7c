"""What a page says of a study: each variant's answers, and its fastest points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.report import page
from sut.report.section import Section
from sut.sweep import study_text

if TYPE_CHECKING:
    from sut.report.folder import Study

_CHECKS = (
    "variant", "output", "largest difference", "of its tolerance", "a wrong output's",
)  # fmt: skip
_ABOUT_CHECKS = (
    "The last column is what the better of two wrong outputs has: the mean over all samples, and "
    "the answers to other samples. At 1 or less the tolerance tests nothing."
)


def section(study: Study) -> Section:
    """Return what a page says of a study, above its tables."""
    record = study.record
    tables = {sweep.table.load: sweep.table for sweep in study.sweeps}
    measured = [v for v in record.verdicts if v.reason is None]
    lead = f"{len(measured)} of {len(record.verdicts)} variants passed. Gate: {record.gate}."
    checks = [
        (v.variant, c.name, f"{c.max_difference:.3g}", f"{c.share:.3g}", f"{c.wrong_share:.3g}")
        for v in record.verdicts
        for c in v.outputs
    ]
    header, lines = study_text.summary(record.verdicts, tables)
    left = [k for k, title in enumerate(header) if title in study_text.TEXT]
    compared = page.table(_CHECKS, list(map(list, checks)), (0, 1), "Outputs") if checks else ""
    return Section(
        title=record.title,
        about=(record.about,),
        doubts=(),
        blocks=(
            ("", page.lead(lead)),
            ("", page.code(record.command)),
            ("Variants", page.table(header, lines, left, "Variants")),
            ("", page.points(study_text.reasons(record.verdicts, tables))),
            ("Outputs beside the reference", compared),
            ("", page.paragraph(_ABOUT_CHECKS) if checks else ""),
        ),
        data={"kind": "study", "verdicts": msgspec.to_builtins(record.verdicts)},
    )
