import itertools

import numpy as np
import pytest

from spectral_edge.experiments.rounding import rounding_points
from spectral_edge.experiments.rounding.summary import published_peaks, relabelled_pvalue
from support.planted_copies import copy_row, planted_rounding


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
    assert points[0].columns[3] == "at step 100"
    assert row(points[0], "add", "one seed, two copies")[2:] == (
        "2", "1.0e-06", "200 (200 to 200)", "250 (200 to 300)", "300 (300 to 300), 1 of 2", "0.17 (0.05 to 0.30)",
    )  # fmt: skip
    assert row(points[0], "add", "two seeds")[2:5] == ("1", "1.4e+00", "0 (0 to 0)")


def test_frequencies_that_are_the_seed_s_are_told_from_those_that_are_not(points):
    assert row(points[1], "v1", "add")[2:4] == ("1.00", "0.00")
    assert float(row(points[1], "v1", "add")[4]) == pytest.approx(1e-4, abs=3e-4)
    assert row(points[1], "v1", "mul")[2:] == ("0.00", "0.00", "1.0000", "1.0000")
    # What all runs share says nothing of seeds.
    assert row(points[1], "random directions, each with the same draw", "add")[2:5] == ("1.00", "1.00", "1.0000")


def test_peaks_that_change_places_are_one_set():
    found = planted_rounding()
    copies = [
        row.model_copy(update={"peak": [*row.peak[row.copy_number :], *row.peak[: row.copy_number]]})
        if (row.operation, row.seed) == ("add", 42)
        else row
        for row in found.copies
    ]
    points = rounding_points(found.model_copy(update={"copies": copies}))
    assert row(points[1], "v1 … v5, the set of peaks", "add")[2] == "1.00"
    assert float(row(points[1], "v1 … v5, each with the same number", "add")[2]) < 1


def test_equal_groupings_are_ties():
    """Of the ways to part six members, those with as many labels alike count, though their means round otherwise."""
    peaks = [[3, 2, 3, 1, 1], [2, 3, 1, 1, 3], [2, 1, 3, 1, 3], [3, 3, 3, 1, 3], [1, 3, 3, 3, 3], [3, 3, 2, 1, 2]]
    rows = [copy_row("add", 42 if c < 3 else 137, c, peak, [0.1] * 5) for c, peak in enumerate(peaks)]
    found = planted_rounding().model_copy(update={"copies": rows})
    pvalue = float(row(rounding_points(found)[1], "v1 … v5, each with the same number", "add")[4])

    def alike(group):
        pairs = [*itertools.combinations(group, 2), *itertools.combinations(set(range(6)) - set(group), 2)]
        return sum(a == b for i, j in pairs for a, b in zip(peaks[i], peaks[j], strict=True))

    exact = np.mean([alike(group) >= alike((0, 1, 2)) for group in itertools.combinations(range(6), 3)])
    assert exact == 0.8  # 0.3 where ties are left to rounding
    assert pvalue == pytest.approx(exact, abs=0.016)  # 4 standard deviations


def test_sizes_that_are_the_seed_s_are_told_from_those_that_are_not(points):
    _, _, means, extremes, within, icc, pvalue, _ = row(points[2], "F of v1", "add")
    assert means == "0.302, 0.402, 0.502"
    assert extremes == "0.300 to 0.304, 0.400 to 0.404, 0.500 to 0.504"
    assert within == "0.0016"
    assert icc.startswith("1.00 [")
    assert float(pvalue) < 0.001
    *_, icc, pvalue, _ = row(points[2], "F of v1", "mul")
    assert icc.startswith("-0.25 [-0.25")  # as low as five copies allow: all seeds have the same five
    assert pvalue == "1.0000"


def test_equal_values_have_no_verdict(points):
    assert row(points[2], "mean F of random directions", "add")[-3:] == ("all are equal", "—", "—")


def test_matches_with_the_paper_are_held_against_relabellings(points):
    """26, 26, 25, 1, 1: no other multiple of 26, 26, 25, 8, 26 has three in place. All miss: any k does as well."""
    assert row(points[3], "add", "26, 26, 25, 8, 26", "42, the paper's")[3:] == ("3, 3, 3, 3, 3", "3.0", "0.021")
    assert row(points[3], "add", "26, 26, 25, 8, 26", "137")[3] == "0, 0, 0, 0, 0"
    assert not [r for r in points[3].rows if r[0] == "sub"]  # not measured, not counted


def test_relabelled_p_counts_units_up_to_sign():
    """mod 8 the units are ±1 and ±3: 1 becomes 3, and 2 becomes 6, which is -2."""
    copies = [copy_row("add", 42, 0, [1, 2], [0.1] * 2)]
    assert relabelled_pvalue(copies, {1: 1, 2: 2}, 8) == 1 / 2
    assert relabelled_pvalue(copies, {1: 3, 2: 2}, 8) == 1
    assert relabelled_pvalue(copies, {2: 2}, 8) == 1


def test_too_few_copies_or_seeds_are_named():
    found = planted_rounding()
    one_seed = [row for row in found.copies if row.seed == 42]
    with pytest.raises(ValueError, match=r"copies of add by seed: \{42: 5\}"):
        rounding_points(found.model_copy(update={"copies": one_seed}))
    with pytest.raises(ValueError, match="need two seeds and two copies"):
        rounding_points(planted_rounding(copies=1))
    with pytest.raises(ValueError, match="no copies"):
        rounding_points(found.model_copy(update={"copies": []}))
