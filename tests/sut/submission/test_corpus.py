"""The program behind `make check-corpus`: findings are counted and sorted by result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.errors import ConfigError
from tests.corpus.published import Key, describe, judge
from tests.sut.submission.helpers.good_tree import SCENARIOS, Tree, to_round_5_1

if TYPE_CHECKING:
    from pathlib import Path

SERVER = Key("closed/Acme/host1/resnet50/Server")


def test_a_good_tree_has_no_refused_result(good: Tree) -> None:
    corpus = judge(good.root)

    assert (corpus.refused, corpus.elsewhere) == ({}, [])
    assert (len(corpus.vision), len(corpus.others)) == (len(SCENARIOS), 0)


@pytest.mark.parametrize("split", [False, True], ids=["v6.1", "v5.1"])
def test_a_fault_belongs_to_its_result(split: bool, tree: Tree) -> None:
    tree.record("result_validity", "INVALID", part="TEST04")
    if split:
        to_round_5_1(tree)

    refused = judge(tree.root).refused

    assert set(refused) == {SERVER}
    assert {finding.code for finding in refused[SERVER]} >= {"invalid-result"}


def test_a_fault_of_the_system_belongs_to_each_of_its_results(tree: Tree) -> None:
    tree.edit(tree.system_json, cooling="")

    assert len(judge(tree.root).refused) == len(SCENARIOS)


def test_a_fault_of_the_tree_belongs_to_none(tree: Tree) -> None:
    (tree.root / "notes.txt").write_text("x\n", "utf-8")

    corpus = judge(tree.root)

    assert corpus.refused == {}
    assert [finding.path for finding in corpus.elsewhere] == ["notes.txt"]


def test_the_text_counts_by_code_and_lists_by_result(tree: Tree) -> None:
    tree.record("result_validity", "INVALID")
    whisper = tree.result().parent
    text = "\n".join(describe(judge(tree.root)))

    assert "vision results refused: 1 of 4" in text
    assert f"\n  {SERVER.path}\n    invalid-result: " in text
    whisper.rename(whisper.with_name("whisper"))
    assert "other results refused: 1 of 4" in "\n".join(describe(judge(tree.root)))


def test_seeds_of_no_round_are_a_finding(tree: Tree) -> None:
    for scenario in SCENARIOS:
        tree.record("effective_qsl_rng_seed", 1, scenario=scenario)

    corpus = judge(tree.root)

    assert [finding.code for finding in corpus.elsewhere] == ["unknown-round"]


def test_a_folder_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        judge(tmp_path / "nowhere")
