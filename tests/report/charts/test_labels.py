"""Words beside points: in their best place where it is free, in another where it is not, left out where none is."""

import pytest

from bench.report.charts.labels import PLACES, placed, positions


def where(rows, pixels, width=500):
    """Return text -> the number of its place; a word that is left out is not in it."""
    return {row["text"]: at for at, mine in enumerate(placed(rows, pixels, width)) for row in mine}


def words(*texts):
    return [{"text": text} for text in texts]


def test_a_word_alone_stands_right_above_its_mark():
    assert where(words("64"), [(100, 100)]) == {"64": 0}
    assert PLACES[0] == ("left", 8, -8)


def test_a_word_at_the_right_end_stands_on_the_left_of_its_mark():
    assert where(words("64"), [(498, 100)]) == {"64": 1}


def test_a_word_does_not_cover_the_mark_beside_it():
    """The second mark, 14 right of the first and 8 above, is where the first word would be."""
    found = where(words("64", "32"), [(100, 100), (114, 92)])
    assert found["64"] == 1
    assert found["32"] == 0


def test_a_word_with_no_free_place_is_left_out():
    crowd = [(100 + dx, 100 + dy) for dx in (0, -13, 13) for dy in (0, -8, 9)]
    found = where(words("64", *map(str, range(1, 9))), crowd)
    assert "64" not in found


@pytest.mark.parametrize(("value", "pixel"), [(1.0, 12.0), (10.0, 62.0), (100.0, 112.0)])
def test_a_logarithmic_axis_keeps_an_inset_at_both_ends(value, pixel):
    assert positions([value], [1.0, 100.0], 124, log=True) == [pytest.approx(pixel)]


def test_an_axis_with_a_zero_is_not_logarithmic():
    assert positions([5.0], [0.0, 10.0], 100, log=True) == [50.0]


def test_one_value_alone_has_a_place():
    assert positions([3.0], [3.0], 100, log=True) == [12.0]
