import itertools

import numpy as np
import pytest

from spectral_edge.bases import operation
from spectral_edge.discovery import agreement, group_law


def product_of_cycles(*orders):
    """The table of Z_m1 x Z_m2 x … by counting in mixed radix."""
    elements = list(itertools.product(*(range(m) for m in orders)))
    place = {element: i for i, element in enumerate(elements)}
    return np.array(
        [[place[tuple((x + y) % m for x, y, m in zip(a, b, orders, strict=True))] for b in elements] for a in elements]
    )


def table_of(name, p):
    return operation(name).output(operation(name).pairs(p), p).reshape(p, p)


@pytest.mark.parametrize(
    ("orders", "cycles"),
    [
        ((7,), (7,)),
        ((3, 5), (15,)),
        ((2, 2), (2, 2)),
        ((4, 2), (4, 2)),
        ((2, 3, 4), (12, 2)),
        ((3, 9, 2, 2), (18, 6)),
        ((2, 49), (98,)),
    ],
)
def test_an_abelian_group_is_named_by_its_invariant_factors(orders, cycles):
    law = group_law(product_of_cycles(*orders))
    assert law.abelian
    assert law.cycles == cycles


@pytest.mark.parametrize(("name", "p"), [("dihedral", 10), ("symmetric", 24)])
def test_a_group_that_is_not_abelian_has_no_cycles_and_says_its_orders(name, p):
    law = group_law(table_of(name, p))
    assert law.cycles is None
    assert law.name.startswith(f"non-abelian of order {p}")
    assert "1 of order 1" in law.name


def test_orders_of_the_symmetric_group_on_four_letters():
    """One identity, nine of order 2, eight of order 3, six of order 4: the cycle types of S_4."""
    orders = group_law(table_of("symmetric", 24)).orders
    assert [int((orders == m).sum()) for m in (1, 2, 3, 4)] == [1, 9, 8, 6]


def test_what_is_not_a_group_is_none():
    subtraction = np.subtract.outer(np.arange(7), np.arange(7)) % 7  # a Latin square without a neutral token
    assert group_law(subtraction) is None
    assert group_law(np.zeros((5, 5), dtype=int)) is None
    loop = np.array([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])
    assert (np.sort(loop, axis=0) == np.arange(5)[:, None]).all()  # neutral token, Latin, and not associative
    assert group_law(loop) is None


def test_classes_of_pairs_follow_their_definitions():
    law = group_law(table_of("dihedral", 10))
    t, inverse = law.table.tolist(), law.inverse.tolist()
    for a, b, s in itertools.product(range(10), range(10), (0, 3, 7)):
        assert law.classes("sum", s)[a, b] == t[t[a][s]][b]
        assert law.classes("difference")[a, b] == t[a][inverse[b]]
        assert law.classes("left_difference")[a, b] == t[inverse[a]][b]
    assert (law.table[np.arange(10), inverse] == law.identity).all()
    with pytest.raises(ValueError, match="choose sum"):
        law.classes("product")


def test_the_powers_of_a_generator_visit_every_token():
    law = group_law(table_of("velocity", 14))
    generator = int(np.flatnonzero(law.orders == 14)[0])
    order = law.cyclic_order(generator)
    assert sorted(order.tolist()) == list(range(14))
    assert law.table[order[3], order[5]] == order[8]


def test_agreement_is_that_of_the_best_naming():
    """Against every one-to-one naming in turn."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 40))
    best = max(
        np.mean([p[x] == y for x, y in zip(first, second, strict=True)]) for p in itertools.permutations(range(4))
    )
    assert agreement(first, second) == pytest.approx(best)
    assert agreement(first, (first + 1) % 4) == 1.0


def test_agreement_of_tables_is_a_share_and_other_shapes_are_refused():
    table = np.add.outer(np.arange(5), np.arange(5)) % 5
    assert agreement(table, (2 * table) % 5) == 1
    for wrong in (table[:4], table - 1, np.empty((0,), dtype=int)):
        with pytest.raises(ValueError, match="agreement"):
            agreement(table if wrong.size else wrong, wrong)
