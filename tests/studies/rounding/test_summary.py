import pytest

from planted_copies import planted_rounding
from spectral_edge.studies.rounding import rounding_points
from spectral_edge.studies.rounding.summary import published_peaks


@pytest.fixture(scope="module")
def points():
    return rounding_points(planted_rounding())


def row(point, *start):
    return next(r for r in point.rows if r[: len(start)] == start)


def test_the_paper_s_frequencies_are_those_it_prints():
    """Paper, section 4.2 to 4.4: addition 26, 26, 25, 8, 26; multiplication 29 of all; subtraction 16, 6, 32."""
    assert published_peaks() == {
        "add": {1: 26, 2: 26, 3: 25, 4: 8, 5: 26}, "mul": {1: 29, 2: 29, 3: 29}, "sub": {1: 16, 2: 6, 3: 32},
    }  # fmt: skip


def test_steps_at_which_copies_part(points):
    assert row(points[0], "add", "one seed, two copies")[2:] == (
        "2", "1.0e-06", "200 (200 to 200)", "250 (200 to 300)", "300 (300 to 300), 1 of 2", "0.17 (0.05 to 0.30)",
    )  # fmt: skip
    assert row(points[0], "add", "two seeds")[2:5] == ("1", "1.4e+00", "0 (0 to 0)")


def test_frequencies_that_are_the_seed_s_are_told_from_those_that_are_not(points):
    assert row(points[1], "add", "v1")[2:4] == ("1.00", "0.00")
    assert float(row(points[1], "add", "v1")[4]) == pytest.approx(1e-4, abs=3e-4)
    assert row(points[1], "mul", "v1")[2:] == ("0.00", "0.00", "1.0000")
    # What all runs share says nothing of seeds.
    assert row(points[1], "add", "random directions, each with itself")[2:] == ("1.00", "1.00", "1.0000")


def test_sizes_that_are_the_seed_s_are_told_from_those_that_are_not(points):
    _, _, means, extremes, within, icc, pvalue = row(points[2], "add", "F of v1")
    assert means == "0.302, 0.402, 0.502"
    assert extremes == "0.300 to 0.304, 0.400 to 0.404, 0.500 to 0.504"
    assert (within, icc) == ("0.0016", "1.00")
    assert float(pvalue) < 0.001
    *_, icc, pvalue = row(points[2], "mul", "F of v1")
    assert (icc, pvalue) == ("-0.25", "1.0000")  # as low as five copies allow: all seeds have the same five


def test_equal_values_have_no_verdict(points):
    assert row(points[2], "add", "mean F of random directions")[-2:] == ("—", "—")


def test_the_paper_s_seed_is_held_against_the_others(points):
    assert row(points[3], "42, the paper's")[1:] == ("3, 3, 3, 3, 3", "3.0", "11")
    assert row(points[3], "137")[1] == "0, 0, 0, 0, 0"
    pvalue = float(points[3].note.rsplit("p ", 1)[1].rstrip("."))
    assert pvalue == pytest.approx(1 / 3003, abs=6e-4)  # one of binom(15, 5) labellings
