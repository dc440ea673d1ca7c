"""Charts as SVG: well formed, within their frame, and with the labels they were given."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from sut.report.bars import Layer, counts, heat, stacked
from sut.report.scales import Scale
from sut.report.svg import HEIGHT, WIDTH, Axes, Mark, Ring, Series, chart


def elements(picture: str, tag: str) -> list[ET.Element]:
    """Return the elements of the picture itself, without those of the legend."""
    (svg,) = ET.fromstring(picture).findall("svg")
    return list(svg.iter(tag))


def told(picture: str) -> str:
    """Return the text for who does not see the picture."""
    return ET.fromstring(picture).findall("svg")[0].attrib["aria-label"]


def legend(picture: str) -> list[str]:
    return ["".join(item.itertext()) for item in ET.fromstring(picture).iter("li")]


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

    other = Series("c & d", [(1, 1)])

    picture = chart("T & T", Axes("x", "y"), [series, other], [Mark("y", 2.0, "bound & more")])

    assert ET.fromstring(picture)[0].text == "T & T"
    assert legend(picture) == ["a < b", "c & d"]
    assert {"bound & more", "x", "y"} <= set(texts(picture))
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
    (ring,) = (r.attrib for r in elements(picture, "rect") if r.attrib["class"] == "ring")
    darkness = {word: float(square["fill-opacity"]) for word, square in squares.items()}
    assert max(darkness, key=lambda word: darkness[word]) == "100"
    assert float(ring["x"]) < float(squares["100"]["x"]) < float(ring["x"]) + float(ring["width"])


def test_a_picture_is_told_to_who_does_not_see_it() -> None:
    series = Series("p99", [(1, 5.0), (2, 3.0), (4, 9.0)])

    picture = chart("T", Axes("load", "ms"), [series], [Mark("y", 8, "bound 8 ms")])

    assert told(picture) == (
        "T. ms by load. p99: 3 points, 5 at 1 to 9 at 4, lowest 3, highest 9. bound 8 ms."
    )


def test_words_of_points_close_to_each_other_stand_at_their_own() -> None:
    places = {"32": (14.0, 8.0), "256": (14.1, 10.3)}
    ends = [(5.0, 1.0), (400.0, 1000.0)]
    series = Series("", [*ends, *places.values()], "points", words=["", "", *places])

    picture = chart("Roofline", Axes("x", "y", "log", "log"), [series])

    points = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in elements(picture, "circle")]
    own = dict(zip(places, points[2:], strict=True))
    found = {t.text: t for t in elements(picture, "text") if t.attrib.get("class") == "word"}
    for word in places:
        near = float(found[word].attrib["y"]) - 4  # the middle of a word lies above its foot
        other = next(name for name in places if name != word)
        assert abs(near - own[word][1]) < abs(near - own[other][1])


def test_a_word_is_written_at_each_point_where_it_covers_nothing() -> None:
    points = [(0.0, 1.0), (50.0, 2.0), (100.0, 3.0), (100.1, 3.0)]
    series = Series("", points, "both", words=["1", "2", "4", "8"])

    picture = chart("T", Axes("x", "y"), [series], rings=[Ring(50.0, 2.0, "knee: 2")])

    words = [t.text for t in elements(picture, "text") if t.attrib.get("class") == "word"]
    assert words[:3] == ["1", "2", "4"]
    assert "knee: 2" in told(picture)


def test_layers_stand_on_each_other_and_the_line_has_its_own_axis() -> None:
    layers = [Layer("queue", [1.0, 3.0]), Layer("compute", [2.0, None])]
    axes = Axes("concurrency", "ms", y2="samples/s")

    picture = stacked("Parts", axes, ["8", "16"], layers, ("throughput", [900.0, 1_000.0]))

    bars = {r[0].text: r.attrib for r in elements(picture, "rect")}
    low, high = bars["8: queue 1"], bars["8: compute 2"]
    assert float(high["y"]) + float(high["height"]) == pytest.approx(float(low["y"]), abs=0.2)
    assert float(high["height"]) == pytest.approx(2 * float(low["height"]), abs=0.2)
    assert set(bars) == {"8: queue 1", "8: compute 2", "16: queue 3"}
    dots = [float(c.attrib["cy"]) for c in elements(picture, "circle")]
    assert dots[0] > dots[1], "the second point is higher"
    assert {"8", "16", "samples/s", "1000"} <= set(texts(picture))
    assert legend(picture) == ["queue", "compute", "throughput"]
    assert "queue 1 to 3; compute 2 to 2; throughput 900 to 1000" in told(picture)


def test_many_sizes_share_bars() -> None:
    picture = counts("Batches", Axes("batch", "batches"), [(k, 2) for k in range(1, 101)])

    bars = [r[0].text or "" for r in elements(picture, "rect")]
    assert len(bars) == 25
    assert bars[0] == "1-4: 8"


def test_bars_of_nothing_say_so() -> None:
    assert texts(stacked("T", Axes("x", "y"), ["1"], [Layer("a", [None])])) == ["nothing measured"]
    assert texts(counts("T", Axes("x", "y"), [])) == ["nothing measured"]
