import numpy as np
import pytest

from spectral_edge.bases import (
    check_modulus,
    check_prime,
    discrete_log_table,
    inverse_table,
    primitive_root,
    sqrt_minus_one,
)

PRIMES = [5, 7, 13, 23, 97, 113]
# Smallest primitive roots, OEIS A001918.
ROOTS = {5: 2, 7: 3, 11: 2, 13: 2, 17: 3, 23: 5, 41: 6, 97: 5, 113: 3, 191: 19}


@pytest.mark.parametrize(("p", "g"), ROOTS.items())
def test_primitive_root_is_the_tabulated_one(p, g):
    assert primitive_root(p) == g


@pytest.mark.parametrize("p", PRIMES)
def test_discrete_log_inverts_powers_of_the_root(p):
    table = discrete_log_table(p)
    assert table.dtype == np.int64
    assert table[0] == -1
    assert [pow(primitive_root(p), int(table[x]), p) for x in range(1, p)] == list(range(1, p))
    assert sorted(table[1:]) == list(range(p - 1))


@pytest.mark.parametrize("table", [discrete_log_table, inverse_table])
def test_tables_are_cached_and_cannot_be_written(table):
    assert table(97) is table(97)
    with pytest.raises(ValueError, match="read-only"):
        table(97)[1] = 0


@pytest.mark.parametrize("p", PRIMES)
def test_inverse_times_residue_is_one(p):
    table = inverse_table(p)
    assert table[0] == -1
    assert (np.arange(1, p) * table[1:] % p == 1).all()


@pytest.mark.parametrize(("p", "i"), {5: 2, 13: 5, 17: 4, 29: 12, 97: 22}.items())
def test_sqrt_minus_one_is_the_smaller_root(p, i):
    assert sqrt_minus_one(p) == i


def test_sqrt_minus_one_names_the_remedy_where_there_is_none():
    with pytest.raises(ValueError, match="p = 23: p % 4 is 3, choose a prime with p % 4 == 1"):
        sqrt_minus_one(23)


@pytest.mark.parametrize("p", [-7, 0, 2, 3, 4, 96])
def test_even_and_tiny_moduli_are_refused(p):
    with pytest.raises(ValueError, match=f"modulus p = {p} must be odd and at least 5"):
        check_modulus(p)


def test_a_float_modulus_is_refused():
    with pytest.raises(TypeError):
        check_modulus(97.0)


@pytest.mark.parametrize("compute", [check_prime, primitive_root, discrete_log_table, inverse_table, sqrt_minus_one])
def test_composite_moduli_are_refused_with_the_nearest_primes(compute):
    with pytest.raises(ValueError, match=r"p must be prime where .* p = 91; the nearest primes are 89 and 97"):
        compute(91)


def test_composite_odd_moduli_may_be_added_in():
    assert check_modulus(91) == 91
