import numpy as np
import pytest

from spectral_edge.bases import check_pairs, coordinate_order, discrete_log_table, operation, pair_coordinates


def test_gaussian_coordinates_multiply_to_the_norm():
    """(a + ib)(a - ib) = a² + b², so the two logarithms add up to that of the norm (paper section 1)."""
    p = 97
    pairs = operation("x2_y2").pairs(p)
    xy = pair_coordinates(pairs, p, "gaussian")
    norm = (pairs**2).sum(axis=1) % p
    defined = xy[:, 0] >= 0
    np.testing.assert_array_equal(defined, norm != 0)
    np.testing.assert_array_equal(xy[defined].sum(axis=1) % (p - 1), discrete_log_table(p)[norm[defined]])


@pytest.mark.parametrize(("system", "n"), [("additive", 169), ("discrete_log", 144), ("gaussian", 144)])
def test_coordinates_are_one_to_one_where_defined(system, n):
    xy = pair_coordinates(operation("add").pairs(13), 13, system)
    defined = xy[(xy >= 0).all(axis=1)]
    assert len(defined) == len(np.unique(defined, axis=0)) == n == coordinate_order(13, system) ** 2
    assert (xy[(xy < 0).any(axis=1)] == -1).all()


def test_unknown_coordinates_get_the_nearest_suggestion():
    with pytest.raises(ValueError, match="unknown coordinates 'dlog'; did you mean 'discrete_log'"):
        coordinate_order(97, "dlog")


@pytest.mark.parametrize("system", ["discrete_log", "gaussian"])
def test_logarithms_need_a_prime(system):
    with pytest.raises(ValueError, match="p must be prime"):
        coordinate_order(91, system)


@pytest.mark.parametrize("pairs", [[1, 2], [[1, 2, 3]], [[0.5, 1.0]], np.zeros((2, 2, 2), int)])
def test_pairs_of_the_wrong_shape_or_type_are_refused(pairs):
    with pytest.raises(ValueError, match=r"pairs must be integers of shape \(N, 2\)"):
        check_pairs(pairs, 5)


@pytest.mark.parametrize("pair", [(5, 0), (0, -1)])
def test_a_pair_outside_the_residues_is_named(pair):
    with pytest.raises(ValueError, match=rf"pairs\[1\] = \({pair[0]}, {pair[1]}\) is not a pair of residues mod 5"):
        check_pairs([(0, 0), pair], 5)
