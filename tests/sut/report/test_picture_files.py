"""Charts of a page as files of their own."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from sut.report import page
from sut.report.picture_files import picture_files
from sut.report.section import Section
from sut.report.svg import Axes, Series, chart


def section(*titles: str) -> Section:
    axes = Axes("processes", "samples/s & more")
    charts = [(chart(t, axes, [Series("a", [(1, 2), (2, 3)])]), "said below") for t in titles]
    return Section("page", (), (), (("Charts", page.figures(charts)), ("", "<p>text</p>")))


def test_every_chart_is_a_file_named_by_its_title() -> None:
    found = picture_files([section("Power, by <processes>", "Throughput")], Path("out"))

    assert [path.name for path in found] == ["power-by-processes.svg", "throughput.svg"]
    for text in found.values():
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "processes" in text


def test_charts_with_one_title_do_not_write_over_each_other() -> None:
    found = picture_files([section("Power", "Power"), section("Power", "?")], Path("out"))

    assert [path.name for path in found] == [
        "power.svg", "power-2.svg", "power-3.svg", "chart.svg",
    ]  # fmt: skip
