import polars

from spectral_edge.experiments.point import Point


def test_cells_of_a_frame_are_short_and_plain():
    table = polars.DataFrame({"null_mean": [0.123456, None], "planted": [True, False], "seeds": [6, 1234567]})
    point = Point.of_table("title", "note", table)
    assert point.columns == ("null mean", "planted", "seeds")
    assert point.rows == (("0.123", "yes", "6"), ("—", "no", "1234567"))
