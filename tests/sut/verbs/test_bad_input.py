"""What the user gets wrong: one clear line, exit code 2, at once, and nothing left behind."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from sut.base.errors import ConfigError
from sut.record.run_folder import RunFolder
from tests.sut.helpers import folders, own
from tests.sut.helpers.program import Done, Program, run_here

pytestmark = pytest.mark.slow

# Two seconds are promised on an idle machine. What takes longer than this is killed; the run would
# go on for ten minutes.
LIMIT_S = 30.0
# What a run says while it waits: on a machine with much else to do, such a line comes first.
SLOW_MACHINE = re.compile(r"Offline: opening the engine: \d+ s")


@dataclass(frozen=True)
class Case:
    """A mistake.

    Attributes:
        says: what the line must hold, in any order.
        words: more words for `sut run -b own.yaml -s Offline --min-duration-s 600`.
        benchmark: keys of the YAML file that differ.
        spoil: changes the folder of the benchmark before.
        scenario: see `words`.
        late: found when samples are made or the engine is open, so that a process must run.
    """

    says: tuple[str, ...]
    words: tuple[object, ...] = ()
    benchmark: tuple[tuple[str, object], ...] = ()
    spoil: Callable[[Path], object] = lambda folder: None
    scenario: str = "Offline"
    late: bool = False


def cut_image(folder: Path) -> None:
    """Leave half of a JPEG file."""
    path = folder / own.IMAGES / "image-05.png"
    Image.open(path).resize((200, 200)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-500])


def no_images(folder: Path) -> None:
    shutil.rmtree(folder / own.IMAGES)
    (folder / own.IMAGES).mkdir()


def input_with(**changes: object) -> tuple[tuple[str, object], ...]:
    tensor = own.YAML["input"]
    assert isinstance(tensor, dict)
    return (("input", {**tensor, **changes}),)


def writes(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text, "utf-8")


CASES = {
    "missing model": Case(("gone.onnx", "no such file"), ("--model", "gone.onnx"), late=True),
    "model that is no ONNX": Case(
        ("model.onnx", "is not an ONNX model"), spoil=writes(own.MODEL, "no model"), late=True
    ),
    "wrong input shape": Case(
        ("model.onnx", "3, 9, 9]", "3, 8, 8]"), benchmark=input_with(shape=[3, 9, 9]), late=True
    ),
    "wrong input name": Case(('"y"', '"x"'), benchmark=input_with(name="y"), late=True),
    "steps that end in another shape": Case(
        ("own.yaml", "[10, 12, 3]", "[3, 8, 8]"),
        benchmark=(("preprocess", []), *input_with(layout="NHWC")), late=True,
    ),
    "unknown key in the YAML": Case(
        ("own.yaml:", "preproces", '"preprocess"'), benchmark=(("preproces", []),)
    ),
    "misspelt key in user.conf": Case(
        ("my.conf:1", "target_qpss", '"target_qps"'),
        ("--user-conf", "my.conf"),
        spoil=writes("my.conf", "*.Offline.target_qpss = 5\n"),
    ),
    "missing audit.config": Case(("--audit-config", "gone"), ("--audit-config", "gone")),
    "corrupt JPEG": Case(("image-05.png", "damaged"), spoil=cut_image, late=True),
    "empty data folder": Case(("images: no images",), spoil=no_images, late=True),
    "output that is a file": Case(("--out", "model.onnx"), ("--out", own.MODEL), late=True),
    "output below a file": Case(("--out", "model.onnx/a/b"), ("--out", f"{own.MODEL}/a/b")),
    "output that holds a result": Case(
        ("--out", "holds a result"), ("--out", "."), spoil=writes("summary.json", "{}")
    ),
    "unknown scenario": Case(
        ('"Offlin"', '"Offline"'), scenario="Offlin"
    ),
    "unknown backend": Case(
        ('"onnxruntim"', '"onnxruntime"'), ("--backend", "onnxruntim")
    ),
    "unknown benchmark": Case(
        ('"resnet5"', '"resnet50"'), ("-b", "resnet5")
    ),
    "missing benchmark file": Case(("gone.yaml", "no such file"), ("-b", "gone.yaml")),
    "unknown system": Case(('"defalt"', '"default"'), ("--system", "defalt")),
    "unknown device": Case(('"gpu"', "cpu"), ("--devices", "gpu"), late=True),
    "unknown option of the backend": Case(
        ('"intra_op_thread"', '"intra_op_threads"'),
        ("--set", "intra_op_thread=2"), late=True,
    ),
    "option of nan": Case(
        ("delay_us", "'nan'"), ("--backend", "null", "--set", "delay_us=nan")
    ),
    "target_qps that is no number": Case(("--target-qps", "'fast'"), ("--target-qps", "fast")),
    "target_qps of 0": Case(("--target-qps", "0"), ("--target-qps", "0")),
    "target_qps of nan": Case(("--target-qps", "nan"), ("--target-qps", "nan")),
    "mode that does not exist": Case(("--mode", "accurate"), ("--mode", "accurate")),
    "rate where the engine sets the pace": Case(
        ("SingleStream",), ("--target-qps", 10), scenario="SingleStream"
    ),
    "rate that one of several scenarios has not": Case(
        ("SingleStream",), ("--target-qps", 10), scenario="Server,SingleStream"
    ),
    "accuracy without labels": Case(
        ("no labels",), ("--mode", "accuracy"),
        benchmark=(("dataset", {"kind": "folder", "folder": own.IMAGES}),), late=True,
    ),
    "submission without labels": Case(
        ("no labels",), ("--mode", "submission"),
        benchmark=(("dataset", {"kind": "folder", "folder": own.IMAGES}),), late=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A case that ran: the command, its folder before and after."""

    done: Done
    before: set[str]
    after: set[str]


@pytest.fixture(scope="module")
def outcomes(
    program: Program, own_yaml: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """Every case, run in a folder with a benchmark of its own."""
    root = tmp_path_factory.mktemp("cases")
    commands: dict[str, tuple[object, ...]] = {}
    before = {}
    for name, case in CASES.items():
        folder = root / name
        shutil.copytree(own_yaml.parent, folder)
        own.write_yaml(folder / "own.yaml", **dict(case.benchmark))
        case.spoil(folder)
        before[name] = folders.contents(folder)
        commands[name] = (
            *("run", "-b", "own.yaml", "-s", case.scenario, "--min-duration-s", 600, *case.words),
        )
    late = {name: words for name, words in commands.items() if CASES[name].late}
    done = program.run_all(late, root, LIMIT_S)
    for name in commands.keys() - late:
        done[name] = run_here(*commands[name], cwd=root / name)
    return {
        name: Outcome(done[name], before[name], folders.contents(root / name)) for name in CASES
    }


each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_bad_input_ends_with_exit_code_2_at_once(outcomes: dict[str, Outcome], name: str) -> None:
    done = outcomes[name].done

    assert done.code == 2, done.err
    assert done.seconds < LIMIT_S


@each_case
def test_bad_input_is_explained_in_one_line(outcomes: dict[str, Outcome], name: str) -> None:
    lines = [
        line for line in outcomes[name].done.err.splitlines() if not SLOW_MACHINE.fullmatch(line)
    ]

    assert len(lines) == 1, lines
    assert lines[0].startswith("sut")
    assert [part for part in CASES[name].says if part not in lines[0]] == []


@each_case
def test_bad_input_leaves_nothing_behind(outcomes: dict[str, Outcome], name: str) -> None:
    assert outcomes[name].after == outcomes[name].before


def test_a_refused_run_leaves_no_unfinished_samples(
    outcomes: dict[str, Outcome], program: Program
) -> None:
    assert outcomes
    assert [path for path in folders.contents(program.root) if ".tmp-" in path] == []


def test_a_refused_run_leaves_the_user_s_own_files_in_the_output_folder(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    conf = tmp_path / "user.conf"
    conf.write_text("*.Offline.target_qps = 1000\n", "utf-8")

    done = program.run(
        *("run", "-b", own_yaml, "-s", "Offline", "--user-conf", conf, "--out", tmp_path),
        *("--set", "intra_op_thread=1"),
    )

    assert done.code == 2
    assert conf.read_text("utf-8") == "*.Offline.target_qps = 1000\n"


def test_a_result_of_a_later_scenario_is_noticed_before_the_first_runs(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    old = tmp_path / "Offline" / "summary.json"
    old.parent.mkdir()
    old.write_text("{}", "utf-8")

    done = program.run(
        *("run", "-b", own_yaml, "-s", "SingleStream,Offline", "--out", tmp_path),
        *("--min-duration-s", 0, "--min-query-count", 64),
    )

    assert done.code == 2
    assert "holds a result" in done.err
    assert folders.contents(tmp_path) == {"Offline", "Offline/summary.json"}


def test_bad_input_removes_no_folder_of_another_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    def refused_beside_another_run() -> None:
        with RunFolder(runs / "mine"):
            # Another command, which found `runs` there.
            (runs / "other").mkdir()
            (runs / "other" / "summary.json").write_text("{}", "utf-8")
            raise ConfigError("bad input")

    with pytest.raises(ConfigError, match="bad input"):
        refused_beside_another_run()

    assert folders.contents(tmp_path) == {"runs", "runs/other", "runs/other/summary.json"}


def test_a_late_refusal_keeps_what_an_earlier_scenario_measured(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    harness = {"Offline": {"backend_options": {"intra_op_thread": 1}}}
    benchmark = own.write_yaml(own_yaml.with_name("late.yaml"), harness=harness)

    done = program.run(
        *("run", "-b", benchmark, "-s", "SingleStream,Offline", "--out", tmp_path / "out"),
        *("--min-duration-s", 0, "--min-query-count", 64),
    )

    assert done.code == 2
    assert '"intra_op_threads"' in done.err
    assert folders.summary(tmp_path / "out" / "SingleStream")["valid"] is True
    assert not (tmp_path / "out" / "Offline").exists()
    assert len(folders.results(tmp_path / "out")) == 1
