"""The probe study: its numbers by hand, its nulls on planted representations, its rule."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

import spectral_edge as se
from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.null_summary import subset_draws
from spectral_edge.replication.probes.activations import ActivationProbes, untrained_models
from spectral_edge.replication.probes.cross_terms import CrossTermProbe
from spectral_edge.replication.probes.study import PROBES
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS


@pytest.fixture(scope="module")
def found(trained):
    return {
        name: PROBES.measure(TrainedRun.open(trained[name]), TINY_ANALYSIS, lambda _: None) for name in ("add", "mul")
    }


def rows_of(findings, statistic):
    return [row for row in findings.rows if row.statistic == statistic]


def test_every_row_has_provenance_and_a_null(found):
    for task, findings in found.items():
        assert {row.claim for row in findings.rows} == {"C4", "C10"}
        for row in findings.rows:
            assert (row.task, row.seed, row.weight_decay, row.checkpoint, row.step) == (task, 42, 1.0, "final", 60)
            assert row.published is None  # not the published protocol
            if row.statistic.startswith("noise_gain"):  # is itself a null
                assert row.null is None
            else:
                assert row.null.n >= 20
        for statistic in ("r2", "r2_cv"):
            keys = {(row.direction, row.grouping) for row in rows_of(findings, statistic)}
            directions = ("v1", "v2", "v3", "least(v1..v3)", "best(v1..v3)")
            assert keys == {(v, f"features:{name}") for v in directions for name in ("add", "mul", "both", "cross")}
            assert all(row.further_nulls[0].kind == "random_features" for row in rows_of(findings, statistic))


def test_r2_is_what_scikit_learn_finds_of_the_response_on_held_out_pairs(found, trained):
    run = TrainedRun.open(trained["add"])
    model, parameters = run.model_at(60)
    directions = run.edge(60, 9, 5, center=True).directions(3)
    task = se.ModularTask("add", 13)
    pairs = task.pairs[task.split(0.5, 42).test]
    pairs = pairs[(pairs != 0).all(axis=1)]
    response = se.functional_modes(model, directions, pairs, parameters=parameters).response.double().numpy()
    log = {pow(2, k, 13): k for k in range(12)}

    def waves(q, order):
        angles = 2 * np.pi * np.outer(q, np.arange(1, 7)) / order
        return np.hstack([np.cos(angles), np.sin(angles)])

    add = waves(pairs.sum(axis=1) % 13, 13)
    mul = waves([(log[a] + log[b]) % 12 for a, b in pairs.tolist()], 12)
    products = np.stack([left * right for left in add.T for right in mul.T], axis=1)
    sets = {"add": add, "mul": mul, "both": np.hstack([add, mul]), "cross": np.hstack([add, mul, products])}
    by_hand = {
        (f"v{k + 1}", f"features:{name}"): r2_score(y, Ridge(1.0).fit(x, y).predict(x), multioutput="variance_weighted")
        for name, x in sets.items()
        for k, y in enumerate(response)
    }
    rows = {(row.direction, row.grouping): row.measured for row in rows_of(found["add"], "r2")}
    for name in sets:
        values = [by_hand[f"v{k}", f"features:{name}"] for k in (1, 2, 3)]
        by_hand["least(v1..v3)", f"features:{name}"], by_hand["best(v1..v3)", f"features:{name}"] = (
            min(values),
            max(values),
        )
    assert rows == pytest.approx(by_hand, rel=1e-5)
    for k in (1, 2, 3):
        add_, mul_, both, cross = (by_hand[f"v{k}", f"features:{name}"] for name in sets)
        (synergy,) = [row for row in rows_of(found["add"], "synergy") if row.direction == f"v{k}"]
        (gain,) = [row for row in rows_of(found["add"], "cross_gain") if row.direction == f"v{k}"]
        assert synergy.measured == pytest.approx(both - max(add_, mul_), rel=1e-4)
        assert gain.measured == pytest.approx(cross - both, rel=1e-4)


def test_a_run_is_measured_the_same_twice(found, trained):
    again = PROBES.measure(TrainedRun.open(trained["add"]), TINY_ANALYSIS, lambda _: None)
    assert again.rows == found["add"].rows


def test_arrays_hold_what_a_figure_needs(found):
    arrays = found["mul"].arrays
    shapes = {name.removeprefix("probes.final."): array.shape for name, array in arrays.items()}
    assert shapes == {
        "r2": (2, 4, 8),
        "r2_random_directions": (2, 4, 20),
        "r2_random_features": (20, 2, 5, 3),
        "r2_noise": (2, 3),
        "activation_r2": (6,),
        "response_r2": (8, 6),
        "response_r2_random_directions": (20, 6),
    }


P = 53  # 1378 unordered pairs, more than the 504 features; 2 generates the residues


@pytest.fixture(scope="module")
def terms():
    pairs = se.ModularTask("mul", P).pairs
    return CrossTermProbe(pairs, np.arange(len(pairs)), P, seed=0), pairs


def test_products_find_a_planted_cross_term_and_those_of_permuted_residues_do_not(terms):
    probe, pairs = terms
    log = {pow(2, k, P): k for k in range(P - 1)}
    total, product = pairs.sum(axis=1) % P, np.array([(log[a] + log[b]) % (P - 1) for a, b in pairs.tolist()])
    single = np.cos(2 * np.pi * 3 * total / P)
    crossed = single * np.sin(2 * np.pi * 5 * product / (P - 1))
    planted = np.stack([crossed, single])[:, :, None]
    in_sample, held_out = probe.r2(planted)
    wrong = probe.on_permuted_residues(planted, 2)
    assert min(in_sample[3, 0], held_out[3, 0]) > 0.98
    assert held_out[2, 0] < 0.1
    assert wrong[:, 0, 4, 0].max() < 0.6
    assert wrong[:, 1, 4, 0].max() < 0.1
    # With wrong products beside them, the named features still do what they did.
    assert wrong[:, :, 4, 1].min() > 0.98
    assert wrong[:, :, 3, 1].max() < 0.6


def test_products_gain_as_much_from_noise_as_noise_does(terms):
    """Of a response that is symmetric noise, m columns take m of its 1378 degrees of freedom, whatever they are."""
    probe, pairs = terms
    noise = np.random.default_rng(0).normal(size=(P, P, 40))
    low, high = np.sort(pairs, axis=1).T
    noise = noise[low, high][None]
    r2, wrong, bought = probe.r2(noise), probe.on_permuted_residues(noise, 2), probe.with_noise(noise)
    gains = [values - r2[:, 2, 0] for values in (r2[:, 3, 0], *wrong[:, :, 4, 0], bought[:, 0])]
    for in_sample, held_out in gains:
        assert in_sample == pytest.approx(400 / 1378, abs=0.03)
        assert held_out < -0.2


@pytest.mark.parametrize("operation", ["add", "mul"])
def test_probes_read_a_planted_frequency_and_no_other(operation):
    task = se.ModularTask(operation, 13)
    probes = ActivationProbes(task, task.split(0.5, 1), seed=0)
    q = se.grouping("sum" if operation == "add" else "discrete_log", 13)
    angle = 2 * np.pi * 4 * q(task.pairs) / q.order
    rng = np.random.default_rng(0)
    waves = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    planted = 1e3 * (np.hstack([waves, np.zeros((len(angle), 6))]) + 0.01 * rng.normal(size=(len(angle), 8)))
    reading = probes.read(planted)
    assert reading.top[0] == 4
    assert reading.r2[3] > 0.99
    assert np.delete(reading.r2, 3).max() < 0.1
    assert reading.best == pytest.approx(np.sort(reading.r2)[-3:].mean())
    assert max(r.best for r in probes.read_permuted(planted, 5, seed=0)) < 0.05
    readout = probes.readout(planted, [4])
    np.testing.assert_allclose(readout.T @ readout, np.eye(2), atol=1e-12)
    assert np.square(readout[:2]).sum() > 1.99  # the plane of the first two coordinates


@pytest.mark.parametrize("operation", ["add", "mul"])
def test_accuracy_is_that_of_a_ridge_classifier(operation):
    task = se.ModularTask(operation, 13)
    split = task.split(0.5, 1)
    q = se.grouping("sum" if operation == "add" else "discrete_log", 13)
    labels = q(task.pairs)
    probes, rng = ActivationProbes(task, split, seed=0), np.random.default_rng(0)
    for _ in range(5):
        noisy = np.eye(q.order)[labels] + 0.5 * rng.normal(size=(len(labels), q.order))
        noisy /= np.sqrt(noisy.var(axis=0).mean())
        one_hot = Ridge(1.0).fit(noisy[split.train], np.eye(q.order)[labels[split.train]])
        expected = (one_hot.predict(noisy[split.test]).argmax(axis=1) == labels[split.test]).mean()
        assert 0.1 < expected < 0.9
        assert probes.accuracy(noisy) == pytest.approx(expected, abs=1e-12)


def test_untrained_models_differ_and_leave_the_random_state_alone():
    training = TrainingConfig(operation="add", p=13, d_model=16, n_heads=2, d_mlp=16)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = untrained_models(training, 2, seed=0)
    assert torch.equal(torch.rand(3), expected)
    pairs = torch.from_numpy(se.ModularTask("add", 13).pairs)
    assert not torch.allclose(first.residual(pairs), second.residual(pairs))


def test_an_aggregate_of_exchangeable_values_is_held_against_subsets():
    rng = np.random.default_rng(0)
    draws = subset_draws(np.max, np.array([5.0, 1.0, 1.0]), rng.normal(size=20), seed=0)
    assert len(draws) == 999
    # The largest of all 23 values is in a subset of 3 with probability 3/23.
    assert (draws == 5.0).mean() == pytest.approx(3 / 23, abs=4 * np.sqrt(3 / 23 / 999))


@pytest.mark.parametrize(
    ("changes", "applies"),
    [
        ({}, True),
        ({"operation": "x2_y2", "p": 13}, True),
        ({"weight_decay": 0.0}, False),
        ({"nonzero": True}, False),
        ({"operation": "x3_xy"}, False),
        ({"operation": "add+mul", "nonzero": True}, False),
        ({"p": 15}, False),
    ],
)
def test_it_applies_to_single_operations_that_grok(changes, applies):
    assert PROBES.applies(TrainingConfig(**({"operation": "add"} | changes))) is applies
