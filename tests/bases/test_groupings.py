import numpy as np
import pytest
import torch

from spectral_edge.bases import grouping, grouping_names, operation

P, G, I = 97, 5, 22  # noqa: E741 - paper section 1: primitive root and square root of -1
ALL = operation("add").pairs(P)


def dlog(x):
    return next(e for e in range(P - 1) if pow(G, e, P) == x % P) if x % P else None


DLOG = [dlog(x) for x in range(P)]


def combined(x, y, sign):
    x, y = DLOG[x % P], DLOG[y % P]
    return -1 if x is None or y is None else (x + sign * y) % (P - 1)


# Paper section 1, on Python integers.
DEFINITIONS = {
    "sum": lambda a, b: (a + b) % P,
    "difference": lambda a, b: (a - b) % P,
    "discrete_log": lambda a, b: combined(a, b, 1),
    "discrete_log_difference": lambda a, b: combined(a, b, -1),
    "gaussian_radial": lambda a, b: combined(a + I * b, a - I * b, 1),
    "gaussian_angular": lambda a, b: combined(a + I * b, a - I * b, -1),
    "output:mul": lambda a, b: a * b % P,
    "output:x2_y2": lambda a, b: (a * a + b * b) % P,
    "output:div": lambda a, b: a * pow(b, -1, P) % P if b else -1,
    "output_discrete_log:x2_y2": lambda a, b: combined(a * a + b * b, 1, 1),
    "output_discrete_log:div": lambda a, b: combined(a, b, -1),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_labels_follow_the_definition_on_the_whole_grid(name):
    labels = grouping(name, P)(ALL)
    assert labels.dtype == np.int64
    assert labels.tolist() == [DEFINITIONS[name](a, b) for a, b in ALL.tolist()]


@pytest.mark.parametrize("name", grouping_names())
def test_every_grouping_labels_within_its_order(name):
    q = grouping(name, 13)
    labels = q(operation("add").pairs(13))
    assert q.order == (13 if name in ("sum", "difference") or name.startswith("output:") else 12)
    assert labels.min() >= -1
    assert labels.max() < q.order
    assert (labels >= 0).any()


def test_the_log_of_the_product_is_the_discrete_log_grouping():
    np.testing.assert_array_equal(grouping("output_discrete_log:mul", P)(ALL), grouping("discrete_log", P)(ALL))


def test_groupings_compare_by_value_and_take_tensors():
    q = grouping("sum", P)
    assert q == grouping("sum", P) != grouping("difference", P)
    assert q(torch.tensor([[96, 2]])).tolist() == [1]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("dlog", "discrete_log"),
        ("output:ad", "output:add"),
        ("diference", "difference"),
        ("output", "output:"),
    ],
)
def test_an_unknown_name_gets_the_nearest_suggestion(name, suggestion):
    with pytest.raises(ValueError, match=f"unknown grouping '{name}'; did you mean '{suggestion}"):
        grouping(name, P)


@pytest.mark.parametrize("name", ["discrete_log", "gaussian_radial", "output_discrete_log:add"])
def test_logarithms_need_a_prime_but_sums_do_not(name):
    assert grouping("sum", 91).order == 91
    with pytest.raises(ValueError, match="p must be prime"):
        grouping(name, 91)


def test_gaussian_groupings_need_a_root_of_minus_one():
    with pytest.raises(ValueError, match=r"-1 has no square root mod p = 23"):
        grouping("gaussian_angular", 23)
