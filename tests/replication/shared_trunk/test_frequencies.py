import numpy as np
import pytest

from spectral_edge.bases import discrete_log_table
from spectral_edge.grokking import ModularTask, ModularTransformer
from spectral_edge.replication.shared_trunk.frequencies import embedding_frequencies, logit_frequencies, logits_of

P = 13


def planted_logits(task, amplitudes):
    """Logits sum_w A_w cos(2 pi w (q - c)/M): M = p and residues, or p - 1 and discrete logs for mul."""
    answers, classes, order = task.labels, np.arange(P), P
    if task.name == "mul":
        log = discrete_log_table(P)
        answers, classes, order = log[task.labels], log, P - 1
    distance = answers[:, None] - classes[None]
    logits = sum(a * np.cos(2 * np.pi * w * distance / order) for w, a in amplitudes.items())
    if task.name == "mul":
        logits[:, 0] = 7.0  # the class 0 is never an answer
    return logits


@pytest.mark.parametrize("name", ["add", "mul", "x2_y2"])
def test_a_head_has_the_power_of_the_amplitudes_it_was_made_of(name):
    task = ModularTask(name, P, nonzero=True)
    use = logit_frequencies(planted_logits(task, {3: 2.0, 5: 1.0}), task, permutations=20, seed=0)
    assert use.top[:2] == [3, 5]
    assert use.power[2] / use.power[4] == pytest.approx(4)
    assert use.concentration == pytest.approx(4 / 5)
    assert np.quantile(use.permuted, 0.9) < use.concentration  # a permutation among equal values is a tie


def test_a_preference_for_a_class_is_no_frequency_of_the_answer():
    task = ModularTask("add", P)
    logits = planted_logits(task, {3: 1.0})
    biased = logits + np.random.default_rng(0).normal(size=P) * 10
    plain, shifted = (logit_frequencies(x, task, 5, 0).power for x in (logits, biased))
    np.testing.assert_allclose(shifted, plain, atol=1e-9)


@pytest.mark.parametrize("basis", ["sum", "discrete_log"])
def test_an_embedding_has_the_frequency_planted_in_its_order_of_tokens(basis):
    task = ModularTask("mul", P)
    position = np.arange(P) if basis == "sum" else discrete_log_table(P)
    order = P if basis == "sum" else P - 1
    angle = 2 * np.pi * 4 * position / order
    embedding = np.stack([np.cos(angle), np.sin(angle), np.zeros(P)], axis=1)
    use = embedding_frequencies(embedding, task, basis, permutations=50, seed=0)
    assert use.top[0] == 4
    assert use.grouping == basis
    assert np.mean(use.permuted >= use.concentration) < 0.05


def test_a_token_that_was_never_shown_does_not_count():
    task = ModularTask("add", P, nonzero=True)
    embedding = np.random.default_rng(1).normal(size=(P, 4))
    other = embedding.copy()
    other[0] = 1e3
    powers = [embedding_frequencies(e, task, "sum", 2, 0).power for e in (embedding, other)]
    np.testing.assert_array_equal(*powers)


def test_each_task_is_read_from_its_own_head():
    model = ModularTransformer(P, ("add", "mul"), d_model=8, n_heads=2, d_mlp=8)
    model.head_mul.bias.data += 5
    tasks = [ModularTask(name, P, nonzero=True) for name in ("add", "mul")]
    add, mul = (logits_of(model, task) for task in tasks)
    assert add.shape == (144, P)
    assert mul.mean() - add.mean() > 4
