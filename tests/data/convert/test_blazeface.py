"""Where BlazeFace's anchors lie: two in each of 16 x 16 cells, then six in each of 8 x 8."""

from __future__ import annotations

from data.convert.blazeface import centres


def test_anchors_lie_in_the_middle_of_their_cells_row_by_row() -> None:
    found = centres()

    assert found.shape == (896, 2)
    assert found[:3].tolist() == [[8, 8], [8, 8], [24, 8]]
    assert found[2 * 16].tolist() == [8, 24]
    assert found[511].tolist() == [248, 248]
    assert [row.tolist() for row in found[512:519]] == [[16, 16]] * 6 + [[48, 16]]
    assert found[895].tolist() == [240, 240]
