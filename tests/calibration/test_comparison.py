"""p-values of each null are uniform where nothing is planted, and a planted effect of stated size is found."""

import numpy as np
import pytest
import torch

import spectral_edge as se
from support.linear_models import DIM, INS, gaussian, linear_model, unit
from support.uniformity import is_uniform, rejects_at_the_nominal_rate

REPEATS, DRAWS = 300, 19


def first_input(h):
    return float(h[0].square().sum())


def pvalue(model, parameters, directions, inputs, statistic, null, seed):
    found = se.compare(
        model, directions, inputs, statistic, parameters=parameters, k=1, nulls=null, draws=DRAWS, seed=seed
    )
    return found.table["pvalue"][0]


def at_random(null, seed):
    """A direction in which this null's question has the answer no: an edge or a tensor, at random in what is free."""
    model, parameters = linear_model(seed)
    theta = unit(parameters.flatten())
    row = unit(gaussian(DIM, seed=10_000 + seed))
    if null == "isotropic":
        return model, parameters, row[None]
    if null == "span":  # of a Gaussian window, singular vectors are at random in its span
        return model, parameters, se.spectral_edge(gaussian(5, DIM, seed=10_000 + seed), center=False)
    if null == "weights":
        across = unit(row - (row @ theta) * theta)
        return model, parameters, (0.7 * theta + 0.51**0.5 * across)[None]
    return model, parameters, (row.abs() ** 3)[None]  # blocks: entries of any law, in any order


@pytest.mark.parametrize("null", ["isotropic", "span", "weights", "blocks"])
def test_p_is_uniform_where_nothing_is_planted(null):
    pvalues = [
        pvalue(*at_random(null, seed), gaussian(8, INS, seed=seed), first_input, null, seed) for seed in range(REPEATS)
    ]
    assert is_uniform(pvalues)
    assert rejects_at_the_nominal_rate(pvalues, 0.05)


@pytest.mark.parametrize("null", ["isotropic", "span", "weights"])
def test_p_of_a_set_is_uniform_where_nothing_is_planted(null):
    """Effective rank of three responses: larger for orthonormal directions than for three independent ones."""
    rank = se.of_set(lambda h: float(se.effective_rank(h.flatten(1).T)), name="rank")
    pvalues = []
    for seed in range(200):
        model, parameters = linear_model(seed)
        edge = se.spectral_edge(gaussian(6, DIM, seed=10_000 + seed), center=False)
        inputs = gaussian(8, INS, seed=seed)
        found = se.compare(model, edge, inputs, rank, parameters=parameters, k=3, nulls=null, draws=DRAWS, seed=seed)
        pvalues.append(found.table["pvalue"][0])
    assert is_uniform(pvalues)
    assert rejects_at_the_nominal_rate(pvalues, 0.05)


@pytest.mark.parametrize("statistic", [se.Concentration, se.Peakedness])
def test_p_is_uniform_where_labels_say_nothing(statistic):
    pvalues = []
    for seed in range(REPEATS):
        model, parameters, direction = at_random("isotropic", seed)
        labels = statistic(np.arange(77) % 11, 11)
        pvalues.append(pvalue(model, parameters, direction, gaussian(77, INS, seed=seed), labels, "inputs", seed))
    assert is_uniform(pvalues)
    assert rejects_at_the_nominal_rate(pvalues, 0.05)


def planted(null, seed):
    """As :func:`at_random`, plus a component of cosine 0.75 along a direction that moves the first input most."""
    model, parameters = linear_model(seed)
    inputs = gaussian(8, INS, seed=seed)
    theta = unit(parameters.flatten())
    useful = unit(torch.outer(gaussian(4, seed=50_000 + seed), inputs[0]).flatten())
    rest = unit(gaussian(DIM, seed=10_000 + seed))
    if null == "weights":
        useful, rest = (unit(v - (v @ theta) * theta) for v in (useful, rest))
        free = unit(0.75 * useful + 0.66 * unit(rest - (rest @ useful) * useful))
        return model, parameters, (0.6 * theta + 0.8 * free)[None], inputs
    direction = unit(0.75 * useful + 0.66 * unit(rest - (rest @ useful) * useful))
    if null == "span":  # its first singular vector is the planted direction
        return (
            model,
            parameters,
            se.spectral_edge(gaussian(9, DIM, seed=seed) / 9 + 4 * direction, center=False),
            inputs,
        )
    return model, parameters, direction[None], inputs


@pytest.mark.parametrize("null", ["isotropic", "span", "weights", "blocks"])
def test_a_planted_direction_is_found(null):
    pvalues = []
    for seed in range(60):
        model, parameters, directions, inputs = planted(null, seed)
        pvalues.append(pvalue(model, parameters, directions, inputs, first_input, null, seed))
    assert np.mean(np.array(pvalues) <= 0.05) > 0.6


def test_planted_labels_are_found():
    labels = np.arange(77) % 11
    wave = torch.from_numpy(np.cos(2 * np.pi * 3 * labels / 11)).float()
    for statistic in (se.Concentration, se.Peakedness):
        found = []
        for seed in range(40):
            model, parameters, direction = at_random("isotropic", seed)
            inputs = gaussian(77, INS, seed=seed) + 1.5 * wave[:, None] + 2  # the response has the wave, of either sign
            found.append(pvalue(model, parameters, direction, inputs, statistic(labels, 11), "inputs", seed))
        assert np.mean(np.array(found) <= 0.05) > 0.8


def test_a_direction_that_is_special_for_its_weights_only_is_not_special():
    """θ moves the first input more than other directions do: the isotropic null is exceeded, the matched one is not."""
    beyond = {"isotropic": 0, "weights": 0}
    for seed in range(60):
        model, parameters = linear_model(seed)
        inputs = gaussian(8, INS, seed=seed)
        with torch.no_grad():
            model.weight.add_(2 * torch.outer(gaussian(4, seed=seed), inputs[0]))
        theta = unit(parameters.flatten())
        row = gaussian(DIM, seed=10_000 + seed)
        across = unit(row - (row @ theta) * theta)
        direction = (0.8 * theta + 0.6 * across)[None]
        for null in beyond:
            beyond[null] += pvalue(model, parameters, direction, inputs, first_input, null, seed) <= 0.05
    assert beyond["isotropic"] > 30
    assert beyond["weights"] < 10


@pytest.mark.parametrize("reading", [se.Covariates, se.Similarity])
def test_p_is_uniform_where_features_say_nothing_of_documents_that_are_alike_inside(reading):
    """Inputs of a document share much: exchanged one by one, features of no use would be found in a third of cases."""
    pvalues, naive = [], []
    documents = np.arange(48) // 4
    for seed in range(200):
        model, parameters, direction = at_random("isotropic", seed)
        inputs = gaussian(12, INS, seed=seed).repeat_interleave(4, 0) + 0.2 * gaussian(48, INS, seed=90_000 + seed)
        features = np.random.default_rng(seed).normal(size=(12, 2)).repeat(4, 0)
        arguments = (model, parameters, direction, inputs)
        pvalues.append(pvalue(*arguments, reading(features, documents), "inputs", seed))
        if seed < 60:
            naive.append(pvalue(*arguments, reading(features), "inputs", seed))
    assert is_uniform(pvalues)
    assert rejects_at_the_nominal_rate(pvalues, 0.05)
    assert np.mean(np.array(naive) <= 0.05) > 0.2
