import random

import numpy as np
import pytest

import spectral_edge as se


@pytest.mark.parametrize(("name", "n"), [("add", 9409), ("sub", 9409), ("mul", 9216), ("x2_y2", 9409), ("div", 9312)])
def test_number_of_pairs_and_labels(name, n):
    task = se.ModularTask(name, p=97)
    assert task.pairs.shape == (n, 2)
    assert task.pairs.dtype == task.labels.dtype == np.int64
    a, b = task.pairs.T
    expected = {"add": a + b, "sub": a - b, "mul": a * b, "x2_y2": a**2 + b**2}
    if name == "div":
        assert ((task.labels * b - a) % 97 == 0).all()
    else:
        assert (task.labels == expected[name] % 97).all()


def test_pairs_are_a_major():
    assert se.ModularTask("add", p=5).pairs[:6].tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [0, 4], [1, 0]]


def test_split_is_the_reference_shuffle_of_the_pairs_themselves():
    task = se.ModularTask("mul", p=97)
    split = task.split(frac_train=0.5, seed=42)
    pairs = [(a, b) for a in range(1, 97) for b in range(1, 97)]
    random.Random(42).shuffle(pairs)
    assert [tuple(pair) for pair in task.pairs[split.train].tolist()] == pairs[: 9216 // 2]
    assert [tuple(pair) for pair in task.pairs[split.test].tolist()] == pairs[9216 // 2 :]


def test_errors():
    with pytest.raises(ValueError, match="x2_y2"):
        se.ModularTask("x2_y", p=97)
    with pytest.raises(ValueError, match="96"):
        se.ModularTask("add", p=96)
    with pytest.raises(ValueError, match="frac_train"):
        se.ModularTask("add", p=5).split(frac_train=0.0)


def test_a_registered_operation_is_a_task():
    se.register_operation(se.Operation("twice_a_plus_b", lambda a, b, p: (2 * a + b) % p, "2a + b mod p"))
    task = se.ModularTask("twice_a_plus_b", p=7)
    assert task.labels[task.pairs.tolist().index([3, 4])] == 3
