"""The roofline of a comparison, and a chart as a file of its own."""

from __future__ import annotations

from xml.etree import ElementTree

from sut.record.table import Row
from sut.report.picture import picture
from sut.report.roofline import roofline, roofline_svg
from sut.report.svg import Axes, Series, chart

SVG = "{http://www.w3.org/2000/svg}"


def row(batch: int, intensity: float, tera: float, precision: str = "fp32") -> Row:
    figures = {
        "intensity": intensity, "flops_per_s": tera * 1e12, "peak_flops_per_s": 10e12,
        "peak_bytes_per_s": 1e11,
    }  # fmt: skip
    return Row(point={"device": "0", "precision": precision, "batch": batch}, figures=figures)


def test_a_roof_bends_at_the_ridge_and_every_row_is_a_point() -> None:
    ((drawn, caption),) = roofline([row(1, 20.0, 1.0), row(8, 200.0, 8.0)])
    root = ElementTree.fromstring(drawn)

    assert len(root.findall(".//svg/g/circle")) == 2
    (roof,) = root.findall(".//svg/g/polyline")
    (x0, y0), (x1, y1), (x2, y2) = (
        map(float, p.split(",")) for p in roof.get("points", "").split()
    )
    assert x0 < x1 < x2
    assert y0 > y1 == y2
    assert "least time" in caption


def test_rows_with_one_peak_share_a_roof_and_rows_without_operations_are_left_out() -> None:
    rows = [row(1, 20.0, 1.0), row(1, 30.0, 1.0, "tf32"), Row(point={"device": "0"})]
    ((drawn, _),) = roofline(rows)

    assert drawn.count("<polyline") == 1
    assert roofline([Row(point={"device": "0"})]) == []
    assert roofline_svg([Row(point={"device": "0"})]) == ""


def test_a_picture_of_its_own_has_style_title_and_legend() -> None:
    axes = Axes("x", "y")
    names = [f"a rather long name <{k}> & more" for k in range(4)]
    drawn = chart("A & B", axes, [Series(name, [(1.0, 2.0), (2.0, 3.0)]) for name in names])
    root = ElementTree.fromstring(picture(drawn))
    words = [text.text for text in root.iter(f"{SVG}text")]

    assert root.tag == f"{SVG}svg"
    assert "A & B" in words
    assert set(names) <= set(words)
    assert root.find(f"{SVG}style") is not None
    assert root.get("aria-label", "").startswith("A & B")
    height = float(root.get("viewBox", "").split()[3])
    assert height > 290 + 4 * 18  # the legend has a line for each long name
