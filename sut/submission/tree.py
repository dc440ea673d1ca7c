"""Writes the tree of a submission: everything is made beside it, then moved in by folder.

A full disk or an interrupt leaves the tree as it was. Other files are never touched.
"""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.base.environment import ROOT
from sut.base.errors import ConfigError, SutError
from sut.base.files import held
from sut.record.loadgen_logs import DETAIL_FILE, SUMMARY_FILE
from sut.record.run_folder import ACCURACY_FILE, ACCURACY_LOG, USER_CONF_FILE
from sut.submission import measurements, network
from sut.submission import system as system_json
from sut.submission.audit import BASELINE_FILE, COMPLIANCE_FILE
from sut.submission.compliance import TEST01
from sut.submission.layout import (
    CALIBRATION_FILE,
    DIVISIONS,
    DOCUMENTS,
    MODEL_MAPPING_FILE,
    README_FILE,
    VERIFY_ACCURACY_FILE,
    VERIFY_PERFORMANCE_FILE,
    Place,
    Submitter,
)
from sut.submission.moves import NotUndoneError, move_in
from sut.submission.ran import read_network
from sut.submission.runs import ACCURACY, PERFORMANCE
from sut.submission.truncate import place_accuracy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sut.submission.order import Order
    from sut.submission.runs import Part

_LOGS = (SUMMARY_FILE, DETAIL_FILE)
# Files that a tree may hold beside the divisions (submission_checker_old.py).
_ROOT_SUFFIXES = (".md", ".pdf")
_ROOT_FOLDERS = (".git", ".github", "assets")
_SOURCE = ("sut", "backends", "scenarios", "data")
_SOURCE_FILES = ("pyproject.toml", "setup.py", "LICENSE", "README.md", "requirements/run.txt")


def check_tree(order: Order) -> None:
    """Refuse a tree with foreign files in the place of this submission.

    Raises:
        ConfigError: names the file.
    """
    tree = order.tree
    if tree.exists() and not tree.is_dir():
        raise ConfigError(f"--out: {tree} is a file; expected a folder for the submission's tree.")
    for path in sorted(tree.iterdir()) if tree.exists() else ():
        if path.name in DIVISIONS or path.name in _ROOT_FOLDERS:
            continue
        if path.is_file() and path.suffix in _ROOT_SUFFIXES:
            continue
        raise ConfigError(
            f"--out: {tree} holds {path.name}, which is not part of a submission's tree. Name "
            "another folder, or remove it."
        )
    for scenario in order.scenarios:
        place = _place(order, tree, scenario)
        if place.results.exists() and not _is_ours(place):
            raise ConfigError(
                f"--out: {place.results} was not made by this program. Remove it, or name another "
                "folder."
            )
    _model_mapping(order, tree)


def place_results(order: Order, done: Mapping[str, Mapping[str, Part]]) -> None:
    """Write the scenarios in `done` into the tree, each with its parts.

    Raises:
        ConfigError: see `check_tree`.
        SutError: the disk is full, or the tree cannot be written; it is as it was.
        NotUndoneError: the tree is not as it was; says where its files are.
    """
    check_tree(order)
    try:
        order.tree.parent.mkdir(parents=True, exist_ok=True)
        # Another submission may go into the same tree at the same time.
        with held(order.tree.parent, "--out", wait=True), _staging(order.tree) as staging:
            for scenario, parts in done.items():
                _stage_result(order, staging, scenario, parts)
            _stage_common(order, staging, next(iter(done.values())))
            _move_in(order, staging, done)
    except OSError as error:
        raise SutError(
            f"--out: {order.tree} cannot be written: {error.strerror}; the tree is as it was, and "
            f"the runs are kept in {order.work}. Free some space and run the same command again."
        ) from error


@contextmanager
def _staging(tree: Path) -> Iterator[Path]:
    """Yield a folder beside the tree, on the same disk.

    It is removed afterwards, unless it holds files of the tree that could not be moved back.
    """
    path = tree.parent / f".{tree.name}-{secrets.token_hex(8)}"
    try:
        path.mkdir(mode=0o700)
        yield path
    except NotUndoneError:
        raise
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)


def _place(order: Order, tree: Path, scenario: str) -> Place:
    return Place(order.submitter_in(tree), order.system_name, order.place, scenario)


def _is_ours(place: Place) -> bool:
    try:
        found = system_json.read(place.measurements_json)
    except SutError:
        return False
    harness = found.get("harness")
    return isinstance(harness, dict) and harness.get("name") == "loadgen-sut"


def _stage_result(order: Order, staging: Path, scenario: str, parts: Mapping[str, Part]) -> None:
    place = _place(order, staging, scenario)
    for folder in (place.performance(), place.accuracy, place.measurements):
        folder.mkdir(parents=True, exist_ok=True)
    _copy(_LOGS, parts[PERFORMANCE].folder, place.performance())
    _copy(_LOGS, parts[ACCURACY].folder, place.accuracy)
    _copy_accuracy(parts[ACCURACY], place.accuracy)
    _copy((USER_CONF_FILE,), parts[PERFORMANCE].folder, place.measurements)
    _write(place.measurements / README_FILE, measurements.readme(order, scenario, parts))
    content = measurements.dump(measurements.measurements(order, parts))
    _write(place.measurements_json, content)
    for name, part in parts.items():
        if name not in (PERFORMANCE, ACCURACY):
            _stage_audit(place.audit(name), name, part)


def _stage_audit(folder: Path, test: str, part: Part) -> None:
    run = folder / "performance" / "run_1"
    run.mkdir(parents=True)
    _copy(_LOGS, part.folder, run)
    _copy((VERIFY_PERFORMANCE_FILE,), part.folder, folder)
    if test != TEST01:
        return
    _copy((VERIFY_ACCURACY_FILE,), part.folder, folder)
    accuracy = folder / "accuracy"
    accuracy.mkdir()
    _copy_accuracy(part, accuracy)
    for name in (BASELINE_FILE, COMPLIANCE_FILE):
        if (part.folder / name).exists():
            _copy((name,), part.folder, accuracy)


def _copy_accuracy(part: Part, to: Path) -> None:
    line = (part.folder / ACCURACY_FILE).read_text("utf-8").strip()
    place_accuracy(part.folder / ACCURACY_LOG, line, to)


def _stage_common(order: Order, staging: Path, parts: Mapping[str, Part]) -> None:
    """Write what the submitter's results share."""
    submitter = order.submitter_in(staging)
    system = {**order.system, "submitter": order.submitter, "division": order.division}
    noted = measurements.notes(order, None)
    if noted:
        said = str(system.get("sw_notes") or "")
        system["sw_notes"] = " ".join([*noted, said]).strip()
    ran = read_network(parts[PERFORMANCE].folder)
    if ran is not None:
        system = network.filled(system, ran)
        documents = submitter.folder / DOCUMENTS
        documents.mkdir()
        drawing, text = _network_files(order)
        _write(documents / drawing, network.diagram(system, ran))
        _write(documents / text, network.papers(system, ran))
    submitter.system(order.system_name).parent.mkdir(parents=True, exist_ok=True)
    _write(submitter.system(order.system_name), measurements.dump(system))
    if order.closed:
        text = measurements.calibration(order, parts)
        _write(submitter.folder / CALIBRATION_FILE, text)
    else:
        mapping = json.dumps(_model_mapping(order, order.tree), indent=2) + "\n"
        _write(submitter.folder / MODEL_MAPPING_FILE, mapping)
    _stage_source(submitter.source / order.place, order)


def _stage_source(folder: Path, order: Order) -> None:
    """Copy the program, which a closed submission must contain, and its settings."""
    hidden = shutil.ignore_patterns("__pycache__", ".*", "*.pyc")
    for name in _SOURCE:
        shutil.copytree(ROOT / name, folder / name, ignore=hidden)
    own = folder / "user_confs" / order.system_name
    shutil.copytree(order.system_folder, own, ignore=hidden)
    for name in _SOURCE_FILES:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    shutil.copyfile(order.benchmark.file, folder / f"{order.benchmark.name}.yaml")


def _model_mapping(order: Order, tree: Path) -> dict[str, object]:
    """Return the open division's mapping with this benchmark in it."""
    path = order.submitter_in(tree).folder / MODEL_MAPPING_FILE
    before = system_json.read(path) if path.is_file() else {}
    name, model = order.benchmark.name, order.rules.name
    if before.get(name, model) != model:
        raise ConfigError(
            f"{path}: {name} stands for {before[name]} there, and now for {model}. Use the same "
            "--stands-for, or correct the file."
        )
    return {**before, name: model}


def _move_in(order: Order, staging: Path, done: Mapping[str, object]) -> None:
    """Move what is staged into the tree."""
    old = staging / "replaced"
    old.mkdir()
    made, target = order.submitter_in(staging), order.submitter_in(order.tree)
    moves = [(made.source / order.place, target.source / order.place)]
    for scenario in done:
        pairs = zip(
            _place(order, staging, scenario).folders(),
            _place(order, order.tree, scenario).folders(),
            strict=True,
        )
        moves += [(source, to) for source, to in pairs if source.exists()]
    shared = (made.system(order.system_name), *_shared(made))
    moves += [(path, target.folder / path.relative_to(made.folder)) for path in shared]
    move_in(moves, old)


def _shared(made: Submitter) -> Iterator[Path]:
    for name in (CALIBRATION_FILE, MODEL_MAPPING_FILE):
        if (made.folder / name).exists():
            yield made.folder / name
    yield from sorted((made.folder / DOCUMENTS).glob("*"))


def _network_files(order: Order) -> tuple[str, str]:
    """Return the names of the drawing and the text on the network of a system."""
    return f"{order.system_name}_network.svg", f"{order.system_name}_network.md"


def _copy(names: tuple[str, ...], source: Path, to: Path) -> None:
    for name in names:
        shutil.copyfile(source / name, to / name)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
