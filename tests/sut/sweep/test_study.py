"""A study: what keeps a variant out, and that the others go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from sut.base.errors import EXIT_VALID, ConfigError, SutError
from sut.models.answers import Answers
from sut.record.study import Verdict, read
from sut.record.table import Row, Table, decode
from sut.sweep.plan_file import read_plan
from sut.sweep.runner import Measured
from sut.sweep.study import Study
from tests.sut.helpers import own
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.config.workload import Workload
    from sut.models.answers import Opening
    from sut.sweep.session import Found
    from sut.sweep.task import Task

TOLERANCE = {"*": {"atol": 0.1}}
SAMPLES = 6
# Logits of each sample, far apart.
EXACT = np.arange(SAMPLES * own.CLASSES, dtype=np.float32).reshape(SAMPLES, own.CLASSES)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    own.make_benchmark(tmp_path)
    return tmp_path / "plan.yaml"


def write(path: Path, variants: Sequence[dict[str, object]], **changes: object) -> Path:
    content = {
        "name": "p",
        "benchmark": "own.yaml",
        "offline": {"batches": "1,2"},
        "verify": {"samples": SAMPLES, "tolerance": {"fp32": TOLERANCE}},
        "gate": {"least_snr_db": 20},
        **changes,
        "variants": list(variants),
    }
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


class Engines:
    """Answers as exactly as a variant's `threads` option says: the error, in thousandths."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(
        self, opening: Opening, workload: Workload, rows: Sequence[int], scratch: Path
    ) -> Answers:
        self.asked += 1
        error = int(opening.options.get("intra_op_threads", 0)) / 1000
        if error == 13:
            raise SutError("the comparison failed: signal 11")
        logits = EXACT + error
        records = tuple(np.float32(best).tobytes() for best in np.argmax(logits, axis=1))
        return Answers({"logits": logits}, {}, records)


class Bench:
    """Measures at once; the variant named "dies" fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def measure(self, task: Task) -> Measured:
        name = str(task.setting["variant"])
        self.asked.append(name)
        if name == "dies":
            return Measured(Row(point=dict(task.point), problem="the worker died"), {}, 1.0, 1)
        figures = {"samples_per_s": 5.0, "latency_p50_ns": 1e6, "latency_p99_ns": 2e6}
        return Measured(Row(point=dict(task.point), figures=figures), {}, 1.0)


def variant(name: str, error: int = 1, **others: object) -> dict[str, object]:
    options = {"intra_op_threads": error}
    return {"name": name, "backend": "onnxruntime", "options": options, **others}


def studied(
    path: Path, bench: Bench, ask: Engines | None = None
) -> tuple[list[Verdict], list[Row], list[str]]:
    """Run a study; return its verdicts, its rows, and what was said."""
    said: list[str] = []
    parsed, variants = read_plan(path)
    folder = path.parent / "out"
    (folder / "offline").mkdir(parents=True, exist_ok=True)
    study = Study(parsed, variants, folder, said.append, ask or Engines())
    study.check()
    ready = study.prepare()
    kept: list[Found] = []
    found = study.measure(ready, "offline", bench, kept.append)
    assert kept, "what was found is written"
    return [one.verdict for one in ready], [measured.row for _, measured in found], said


def test_what_keeps_a_variant_out_is_its_row_and_the_others_have_figures(plan: Path) -> None:
    (plan.parent / "broken.onnx").write_bytes(b"no model")
    write(
        plan,
        [
            variant("broken", model="broken.onnx"),
            variant("crashes", 13_000),
            variant("far", 500),
            variant("absent", needs="no_such_package"),
            variant("dies"),
            variant("good"),
        ],
    )

    verdicts, rows, _ = studied(plan, Bench())

    stages = {verdict.variant: verdict.stage for verdict in verdicts}
    assert stages == {
        "broken": "convert", "crashes": "verify", "far": "verify", "absent": "left out",
        "dies": "measured", "good": "measured",
    }  # fmt: skip
    problems = {str(row.point["variant"]): row.problem for row in rows}
    assert "broken.onnx" in str(problems["broken"])
    assert problems["crashes"] == "verify: the comparison failed: signal 11"
    assert "5 times what its tolerance allows" in str(problems["far"])
    assert problems["absent"] == "left out: the package no_such_package is not installed"
    assert problems["dies"] == "the worker died"
    assert [row.point["batch"] for row in rows if row.point["variant"] == "good"] == [1, 2]
    assert all(row.figures["snr_db"] > 20 for row in rows if row.problem is None)


def test_a_tolerance_that_tests_nothing_is_said_and_the_gate_still_asks(plan: Path) -> None:
    wide = {"*": {"atol": 100, "rtol": 100}}
    write(plan, [variant("wide", 5_000, tolerance=wide), variant("good")])

    (wide_verdict, _), rows, said = studied(plan, Bench())

    assert "tests nothing" in wide_verdict.warnings[0]
    assert any("! the tolerance of output logits tests nothing" in line for line in said)
    assert wide_verdict.stage == "gate"
    assert "the gate asks for 20 or more" in str(rows[0].problem)
    assert rows[0].figures == {}


def test_a_server_s_model_is_compared_too(plan: Path) -> None:
    remote = {"backend": "triton", "options": {"url": "http://127.0.0.1:9", "model": "m"}}
    write(plan, [{"name": "remote", **remote}])
    ask = Engines()

    (verdict,), rows, _ = studied(plan, Bench(), ask)

    assert ask.asked == 2, "the reference and the server"
    assert (verdict.samples, verdict.stage) == (SAMPLES, "measured")
    assert all(row.problem is None for row in rows)


def test_each_limit_of_the_gate_keeps_out(plan: Path) -> None:
    for gate in ({"least_same": 1.0}, {"least_score": 1.0}, {"least_snr_db": 290.0}):
        write(plan, [variant("near"), variant("same", 0)], gate=gate)
        folder = plan.parent / "out"

        (near, same), _, _ = studied(plan, Bench())

        assert same.reason is None
        assert near.stage == ("gate" if "least_snr_db" in gate else "measured")
        assert (near.same, near.score) == (1.0, same.score)
        folder.rename(folder.with_name(next(iter(gate))))


def test_a_study_continues_where_it_stopped(plan: Path) -> None:
    write(plan, [variant("one"), variant("dies")])
    first, again, ask = Bench(), Bench(), Engines()
    studied(plan, first)

    _, rows, _ = studied(plan, again, ask)

    assert first.asked == ["one", "one", "dies", "dies"]
    assert again.asked == ["dies", "dies"]
    assert ask.asked == 0, "nothing is compared again"
    assert len(rows) == 4


def test_another_plan_does_not_continue_it(plan: Path) -> None:
    studied(write(plan, [variant("one")]), Bench())

    with pytest.raises(ConfigError, match="holds a study with another plan"):
        studied(write(plan, [variant("one")], gate={"least_snr_db": 3}), Bench())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": None}, 'variant "one" runs a model; expected a `gate`'),
        ({"verify": None}, "verify.tolerance has no entry for precision fp32"),
    ],
)
def test_a_model_needs_a_gate_and_a_tolerance(
    plan: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        studied(write(plan, [variant("one")], **changes), Bench())


@pytest.mark.slow
def test_a_plan_through_the_whole_program(plan: Path) -> None:
    variants: list[dict[str, object]] = [
        {"backend": "onnxruntime"},
        {"name": "absent", "backend": "torch", "needs": "no_such_package"},
    ]
    write(plan, variants, offline={"batches": 1}, window={"least_s": 0, "limit_s": 0.3})
    out = plan.parent / "out"

    done = run_here("sweep", "--plan", plan, "--out", out)

    assert done.code == EXIT_VALID, done.err
    record = read(out / "study.json")
    assert [verdict.stage for verdict in record.verdicts] == ["measured", "left out"]
    assert record.verdicts[0].score == pytest.approx(4 / 6), "two of its six samples are wrong"
    table: Table = decode((out / "offline" / "table.json").read_bytes(), "table.json")
    good, absent = table.rows
    assert good.figures["samples_per_s"] > 0
    assert good.figures["accuracy"] == record.verdicts[0].score
    assert "no_such_package is not installed" in str(absent.problem)
    assert "absent: left out: the package no_such_package" in (out / "study.md").read_text()
    assert "Study p" in (out / "report.html").read_text("utf-8")
