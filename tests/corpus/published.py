"""`make check-corpus RESULTS=DIR`: `sut check` over a checkout of an inference_results repository.

MLCommons accepted every result in it, so each one that `sut check` refuses is either a fault that
passed the official checkers or a false alarm of ours. The program counts the findings by code and
lists the refused results, vision first, with the reason: a person reads them. It passes no verdict.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from data.rounds import checker_name, open_name, round_named
from sut.base.errors import SutError
from sut.submission.check import Report, check
from sut.submission.checks.result import json_or_empty, places, submitters
from sut.submission.layout import MODEL_MAPPING_FILE

if TYPE_CHECKING:
    from sut.submission.checks.finding import Finding
    from sut.submission.layout import Place

# The folders of a submitter that lie by system, benchmark and scenario.
_BY_RESULT = ("results", "measurements", "compliance")


@dataclass(frozen=True, slots=True)
class Key:
    """One result: the path of its folder in results/, as division/submitter/system/..."""

    path: str

    @property
    def system(self) -> str:
        """Division, submitter and system."""
        return self.path.rsplit("/", 2)[0]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What `sut check` says of a published tree.

    Attributes:
        report: its findings.
        vision: the results of benchmarks that it judges in full.
        others: all further results.
        refused: errors by result; each key is in `vision` or `others`.
        elsewhere: errors that belong to no single result.
    """

    report: Report
    vision: frozenset[Key]
    others: frozenset[Key]
    refused: dict[Key, list[Finding]]
    elsewhere: list[Finding]


def judge(root: Path, round_name: str | None = None) -> Corpus:
    """Check a tree and sort what is found by result.

    Raises:
        ConfigError: there is no such folder or round.
    """
    report = check(root, round_name)
    vision, others = _results(root, report.round)
    known = vision | others
    refused: dict[Key, list[Finding]] = {}
    elsewhere = []
    for finding in report.findings:
        if finding.severity != "error":
            continue
        keys = _keys_of(finding.path, known)
        for key in keys:
            refused.setdefault(key, []).append(finding)
        if not keys:
            elsewhere.append(finding)
    return Corpus(report, vision, others, refused, elsewhere)


def describe(corpus: Corpus) -> list[str]:
    """Return the lines of the report."""
    report = corpus.report
    counts = Counter((finding.severity, finding.code) for finding in report.findings)
    lines = [f"round {report.round}: {report.results} results, {len(corpus.vision)} of them vision"]
    lines += ["", "| findings | severity | code |", "| --- | --- | --- |"]
    lines += [
        f"| {count} | {severity} | `{code}` |"
        for (severity, code), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    for title, results in (("vision", corpus.vision), ("other", corpus.others)):
        refused = {key: found for key, found in corpus.refused.items() if key in results}
        lines += ["", f"{title} results refused: {len(refused)} of {len(results)}"]
        for key, found in sorted(refused.items(), key=lambda item: item[0].path):
            lines.append(f"  {key.path}")
            lines += [f"    {finding.code}: {finding.what}" for finding in found]
    lines += ["", f"errors of no single result: {len(corpus.elsewhere)}"]
    lines += [f"  {finding.path}: {finding.code}: {finding.what}" for finding in corpus.elsewhere]
    return lines


def _results(root: Path, round_name: str | None) -> tuple[frozenset[Key], frozenset[Key]]:
    """Return the vision results, and the others."""
    if round_name is None:
        return frozenset(), frozenset()
    round_ = round_named(round_name)
    vision: set[Key] = set()
    others: set[Key] = set()
    for submitter in submitters(root, round_.layout):
        mapping = json_or_empty(submitter.folder / MODEL_MAPPING_FILE)
        names = {name: str(model) for name, model in mapping.items()}
        named = open_name if submitter.division == "open" else checker_name
        for place in places(submitter):
            known = named(round_, place.benchmark, names) in round_.models
            (vision if known else others).add(_key(place))
    return frozenset(vision), frozenset(others)


def _key(place: Place) -> Key:
    submitter = place.submitter
    return Key(f"{submitter.division}/{submitter.name}/{place.key.as_posix()}")


def _keys_of(path: str, known: frozenset[Key]) -> list[Key]:
    """Return the results that a finding's path belongs to: a system's file, to all of its own."""
    parts = PurePosixPath(path).parts
    if len(parts) < len(("division", "submitter", "folder", "system")):
        return []
    division, submitter, folder, name = parts[:4]
    if folder == "systems":
        system = f"{division}/{submitter}/{PurePosixPath(name).stem}"
        return [key for key in known if key.system == system]
    if folder not in _BY_RESULT:
        return []
    below = "/".join((division, submitter, *parts[3:6]))
    return [key for key in known if key.path == below or key.path.startswith(f"{below}/")]


def main() -> int:
    """Check the tree of the command line; return 0, or 2 if it cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="a checkout of an inference_results repository")
    parser.add_argument("--round", help="whose rules hold (default: that of the logs' seeds)")
    arguments = parser.parse_args()
    if not arguments.results.is_dir():
        parser.error(
            f"{arguments.results}: no such folder; expected a checkout of an inference_results "
            "repository. Name it: make check-corpus RESULTS=DIR"
        )
    begin = time.monotonic()
    try:
        corpus = judge(arguments.results, arguments.round)
    except SutError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for line in describe(corpus):
        print(line)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{time.monotonic() - begin:.1f} s, {peak_mib:.0f} MiB at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
