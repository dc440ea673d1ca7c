"""Charts as SVG: well formed, within their frame, and with the labels they were given."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from sut.report.svg import HEIGHT, WIDTH, Axes, Mark, Scale, Series, chart, heat

NAMESPACE = "{http://www.w3.org/2000/svg}"


def elements(picture: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(picture).iter(NAMESPACE + tag))


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in elements(picture, "text")]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_every_point_lies_in_the_frame_and_a_higher_value_lies_higher(scale: Scale) -> None:
    series = Series("S(b)", [(1, 0.5), (8, 2.0), (64, 900.0)], "points")

    picture = chart("Time", Axes("batch", "ms", scale, scale), [series])

    places = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in elements(picture, "circle")]
    assert len(places) == 3
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_a_point_above_the_top_is_drawn_at_the_edge() -> None:
    series = Series("p99", [(1, 1.0), (2, 10.0), (3, 1e9)], "points")

    picture = chart("Latency", Axes("load", "ms", y_top=10.0), [series])

    within, above = (float(c.attrib["cy"]) for c in elements(picture, "circle")[1:])
    assert 0 < above <= within < HEIGHT / 4


def test_names_labels_and_marks_are_escaped_text() -> None:
    series = Series("a < b", [(1, 1), (2, 2)], "both", errors=[(0.5, 1.5)], labels=["<1>", ""])

    picture = chart("T & T", Axes("x", "y"), [series], [Mark("y", 2.0, "bound & more")])

    assert ET.fromstring(picture)[0].text == "T & T"
    assert {"a < b", "bound & more", "x", "y"} <= set(texts(picture))
    assert elements(picture, "circle")[0][0].text == "<1>"


def test_sizes_that_double_have_ticks_at_powers_of_two() -> None:
    picture = chart("T", Axes("batch", "ms", "log"), [Series("", [(1, 5), (2, 5), (4, 5), (8, 5)])])

    assert {"1", "2", "4", "8"} <= set(texts(picture))


def test_a_chart_without_points_says_so() -> None:
    assert texts(chart("T", Axes("x", "y"), [Series("none", [])])) == ["nothing measured"]


def test_the_best_square_is_the_darkest_and_the_chosen_one_has_a_ring() -> None:
    cells = [(1.0, 0.0, 90.0, "90"), (2.0, 0.0, 100.0, "100"), (2.0, 5.0, 50.0, "50")]

    picture = heat("Rates", Axes("batch", "delay"), cells, (2.0, 0.0))

    squares = {r[0].text: r.attrib for r in elements(picture, "rect") if len(r)}
    (ring,) = (r.attrib for r in elements(picture, "rect") if r.attrib["fill"] == "none")
    darkness = {word: -_blue(square["fill"]) for word, square in squares.items()}
    assert max(darkness, key=lambda word: darkness[word]) == "100"
    assert float(ring["x"]) < float(squares["100"]["x"]) < float(ring["x"]) + float(ring["width"])


def _blue(fill: str) -> int:
    return int(fill.removeprefix("rgb(").removesuffix(")").split(",")[2])
