"""Let the official tools of mlcommons/inference judge a tree, and the runs that it was made from.

    python -m tests.sut.submission.extra.official INFERENCE TREE [RUNS LABELS]

INFERENCE is a checkout of mlcommons/inference. Both checkers must accept TREE without a skip flag,
with as many results as it has. With RUNS (the folder of systems in `--work`, .../full) and LABELS
(val_map.txt of ImageNet, or the folder of COCO with its annotations/), the accuracy script, both
run_verification.py and truncate_accuracy_log.py make the same tree again from the whole logs, and
every file of LoadGen's and of the accuracy must be the same.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sut.submission.check import check
from sut.submission.checks.result import places, submitters
from sut.submission.layout import Place, Submitter

CHECKERS = ("submission_checker/main.py", "submission_checker_old.py")
# run_verification.py of TEST01 copies its log reader's lines, with the time, into the text.
_LOG_LINE = re.compile(r"^\[.*log_parser\.py.*\n", re.MULTILINE)


def main(inference: Path, tree: Path, runs: Path | None, labels: Path | None) -> int:
    """Return 0 if all of them accept."""
    report = check(tree)
    print(f"sut check: {report.results} results, {report.errors} errors")
    good = True
    checkers = CHECKERS if report.round != "v5.1" else CHECKERS[:1]  # the old one reads v6 alone
    with tempfile.TemporaryDirectory() as scratch:
        for checker in checkers:
            found = _judge(inference, checker, tree, report.round or "", Path(scratch))
            print(f"{checker}: {found}")
            good &= found == f"accepted, Results={report.results}"
        if runs is not None and labels is not None:
            good &= _remake(inference, tree, runs, labels, Path(scratch))
    return 0 if good else 1


def _judge(inference: Path, checker: str, tree: Path, round_name: str, scratch: Path) -> str:
    script = inference / "tools" / "submission" / checker
    options = ["--input", tree, "--version", round_name, "--csv", scratch / "summary.csv"]
    done = _run(script, *options, cwd=scratch)
    count = re.search(r"Results=(\d+), NoResults=0", done)
    accepted = "SUMMARY: submission looks OK" in done and count is not None
    return f"accepted, Results={count[1]}" if accepted and count else f"refused:\n{done[-3000:]}"


def _remake(inference: Path, tree: Path, runs: Path, labels: Path, scratch: Path) -> bool:
    copy = scratch / "tree"
    shutil.copytree(tree, copy)
    submitter = next(iter(submitters(copy, "flat")))
    for place in places(submitter):
        _remake_result(inference, place, runs / place.key, labels, scratch)
    tool = inference / "tools" / "submission" / "truncate_accuracy_log.py"
    out = scratch / "truncated"
    _run(tool, "--input", copy, "--submitter", submitter.name, "--output", out, cwd=scratch)
    return _compare(submitter, tree, out)


def _remake_result(inference: Path, place: Place, runs: Path, labels: Path, scratch: Path) -> None:
    """Put the whole logs and the official texts where ours are."""
    log = "mlperf_log_accuracy.json"
    tools = inference / "vision/classification_and_detection/tools"
    for folder, run in (
        (place.accuracy, "accuracy"),
        (place.audit("TEST01") / "accuracy", "TEST01"),
    ):
        if not folder.is_dir():
            continue
        shutil.copyfile(runs / run / log, folder / log)
        (folder / "accuracy.txt").write_text(_accuracy(tools, folder / log, labels), "utf-8")
    for test, options in (("TEST01", ["--dtype", "float32"]), ("TEST04", [])):
        if place.audit(test).is_dir():
            script = inference / "compliance" / test / "run_verification.py"
            paths = ["-r", place.results, "-c", runs / test, "-o", place.results]
            _run(script, *paths, *options, cwd=scratch)


def _accuracy(tools: Path, log: Path, labels: Path) -> str:
    """Return the line that the official script prints for a log."""
    if labels.is_dir():
        options = ["--mlperf-accuracy-file", log, "--coco-dir", labels]
        said = _run(tools / "accuracy-coco.py", *options, cwd=log.parent)
        (log.parent / "coco-results.json").unlink()
        return said.splitlines()[-1] + "\n"
    options = ["--mlperf-accuracy-file", log, "--imagenet-val-file", labels, "--dtype", "float32"]
    return _run(tools / "accuracy-imagenet.py", *options, cwd=log.parent)


def _compare(submitter: Submitter, ours: Path, theirs: Path) -> bool:
    folder = submitter.results.relative_to(submitter.root)
    names = sorted(p.relative_to(ours) for p in (ours / folder).rglob("*") if p.is_file())
    different = [name for name in names if _content(ours / name) != _content(theirs / name)]
    for name in different:
        print(f"differs: {name}")
    print(f"official accuracy, verification and truncation: {len(names)} files, "
          f"{len(different)} differ")  # fmt: skip
    return not different


def _content(path: Path) -> str:
    return _LOG_LINE.sub("", path.read_text("utf-8"))


def _run(script: Path, *options: object, cwd: Path) -> str:
    """Run a tool; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(script), *map(str, options)],
        cwd=cwd,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


if __name__ == "__main__":
    given = [Path(word).absolute() for word in sys.argv[1:]]
    sys.exit(main(given[0], given[1], *(given[2:4] or (None, None))))
