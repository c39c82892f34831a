import itertools

import numpy as np
import pytest
import torch

from spectral_edge.bases import Operation, grouping, operation, operation_names, operations, register_operation
from spectral_edge.bases.tables import renaming

# The operations as paper section 2 writes them, on Python integers.
DEFINITIONS = {
    "add": lambda a, b, p: (a + b) % p,
    "sub": lambda a, b, p: (a - b) % p,
    "mul": lambda a, b, p: a * b % p,
    "div": lambda a, b, p: a * pow(b, -1, p) % p if b else -1,
    "x2_y2": lambda a, b, p: (a**2 + b**2) % p,
    "x2_xy_y2": lambda a, b, p: (a**2 + a * b + b**2) % p,
    "x3_xy": lambda a, b, p: (a**3 + a * b) % p,
}


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(operations, "_OPERATIONS", dict(operations._OPERATIONS))


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("p", [5, 13, 97])
def test_output_follows_the_definition_everywhere(name, p):
    pairs = operation("add").pairs(p)
    output = operation(name).output(pairs, p)
    assert output.dtype == np.int64
    assert output.tolist() == [DEFINITIONS[name](a, b, p) for a, b in pairs.tolist()]


@pytest.mark.parametrize(
    ("name", "n", "first"),
    [
        ("add", 97 * 97, (0, 0)),
        ("mul", 96 * 96, (1, 1)),
        ("div", 97 * 96, (0, 1)),
        ("x2_y2", 97 * 97, (0, 0)),
    ],
)
def test_pairs_are_a_major_on_the_domain(name, n, first):
    pairs = operation(name).pairs(97)
    assert pairs.shape == (n, 2)
    assert pairs.dtype == np.int64
    assert tuple(pairs[0]) == first
    assert pairs.tolist() == sorted(pairs.tolist())


@pytest.mark.parametrize("name", operation_names())
def test_every_operation_has_a_value_on_its_whole_domain(name):
    p = {"dihedral": 14, "symmetric": 24, "velocity": 14}.get(name, 13)
    assert (operation(name).output(operation(name).pairs(p), p) >= 0).all()


@pytest.mark.parametrize(("name", "p"), [("dihedral", 14), ("symmetric", 24), ("velocity", 14), ("velocity", 98)])
def test_group_operations_are_groups(name, p):
    """A Latin square, associative: that is a group."""
    table = operation(name).output(operation(name).pairs(p), p).reshape(p, p)
    tokens = np.arange(p)
    assert (np.sort(table, axis=0) == tokens[:, None]).all()
    assert (np.sort(table, axis=1) == tokens).all()
    assert (table[table] == table[:, table]).all()  # (ab)c = a(bc)


@pytest.mark.parametrize(
    ("name", "p", "abelian"), [("dihedral", 14, False), ("symmetric", 24, False), ("velocity", 14, True)]
)
def test_which_groups_are_abelian(name, p, abelian):
    table = operation(name).output(operation(name).pairs(p), p).reshape(p, p)
    assert (table == table.T).all() == abelian


def test_velocities_form_one_cycle():
    """The points of the projective line are the powers of one of them."""
    table = operation("velocity").output(operation("velocity").pairs(14), 14).reshape(14, 14)

    def order(token):
        power, n = token, 1
        while power != 0:
            power, n = table[power, token], n + 1
        return n

    assert max(order(token) for token in range(1, 14)) == 14


def test_permutations_compose_as_functions():
    permutations = list(itertools.permutations(range(4)))
    a, b = 7, 18
    composed = tuple(permutations[a][i] for i in permutations[b])
    assert operation("symmetric").output([[a, b]], 24).tolist() == [permutations.index(composed)]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_a_renamed_operation_is_the_same_operation_of_renamed_tokens(name):
    renamed = operation(f"{name}.renamed3")
    pairs = operation(name).pairs(13)
    new, old = renaming(3, 13, fixed=() if name in ("add", "sub") else (0,))
    assert (renamed.pairs(13) == pairs).all()
    assert (renamed.output(new[pairs], 13) == new[operation(name).output(pairs, 13)]).all()
    assert not np.array_equal(renamed.output(pairs, 13), operation(name).output(pairs, 13))
    assert (new[old] == np.arange(13)).all()


def test_different_renamings_differ_and_return():
    pairs = operation("add").pairs(13)
    one, two = (operation(f"add.renamed{k}").output(pairs, 13) for k in (1, 2))
    assert not np.array_equal(one, two)
    assert np.array_equal(one, operation("add.renamed1").output(pairs, 13))


def test_the_random_table_is_fixed_and_no_latin_square():
    table = operation("random_table").output(operation("random_table").pairs(13), 13).reshape(13, 13)
    assert np.array_equal(table.ravel(), operation("random_table").output(operation("random_table").pairs(13), 13))
    assert not (np.sort(table, axis=1) == np.arange(13)).all()


@pytest.mark.parametrize(
    ("name", "p", "message"),
    [
        ("dihedral", 13, "p = 2n elements"),
        ("symmetric", 25, "6, 24, 120 or 720"),
        ("velocity", 13, "q a prime"),
        ("random_table", 2, "at least 3"),
        ("add.renamed1", 12, "must be odd"),
    ],
)
def test_a_number_of_tokens_that_the_operation_does_not_exist_on_is_refused(name, p, message):
    with pytest.raises(ValueError, match=message):
        operation(name).pairs(p)


def test_built_in_operations_are_the_ones_documented():
    assert set(DEFINITIONS) <= set(operation_names())


def test_output_takes_tensors():
    assert operation("mul").output(torch.tensor([[3, 4]]), 5).tolist() == [2]


def test_a_cube_does_not_overflow():
    p = 3_000_017
    assert operation("x3_xy").output([[p - 1, p - 2]], p).tolist() == [1]  # (-1)³ + (-1)(-2)


@pytest.mark.usefixtures("own_registry")
def test_a_registered_operation_is_found():
    registered = register_operation(Operation("twice", lambda a, b, p: 2 * a % p, "2a"))
    assert operation("twice") is registered
    assert operation("twice").output([[4, 0]], 5).tolist() == [3]


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match=r"'add' is already registered as a \+ b"):
        register_operation(Operation("add", lambda a, b, p: a, "a"))


def test_an_unknown_name_gets_the_nearest_suggestion_and_the_list():
    with pytest.raises(ValueError, match=r"unknown operation 'x2y2'; did you mean 'x2_y2'\? Known: add, dihedral, div"):
        operation("x2y2")


def test_an_unknown_domain_is_refused():
    with pytest.raises(ValueError, match="unknown domain of operation 'f' 'non_zero'; did you mean 'nonzero'"):
        Operation("f", lambda a, b, p: a, "a", domain="non_zero")


@pytest.mark.parametrize("function", [lambda a, b, p: a + b, lambda a, b, p: a - p, lambda a, b, p: a[:1]])
def test_a_function_that_leaves_the_residues_is_refused(function):
    with pytest.raises(ValueError, match=r"operation 'f' .* must return one residue mod p per pair"):
        Operation("f", function, "?").output([[4, 4], [1, 1]], 5)


def test_a_division_needs_a_prime():
    for use in (lambda: operation("div").pairs(15), lambda: operation("div").output([[1, 2]], 15)):
        with pytest.raises(ValueError, match="15"):
            use()
    with pytest.raises(ValueError, match="15"):
        grouping("output:div", 15)
    assert grouping("output:div", 7)([[1, 2]]).tolist() == [4]  # 2 · 4 = 8 = 1 mod 7


def test_values_that_are_no_integers_are_refused():
    mean = Operation("mean", lambda a, b, p: (a + b) / 2, "(a + b)/2")
    with pytest.raises(ValueError, match="not all integers"):
        mean.output([[1, 2]], 5)
    assert mean.output([[1, 3]], 5).tolist() == [2]
