"""Readings without a group, against scikit-learn, a slow U-statistic and a decomposition; what is refused."""

import itertools

import numpy as np
import polars
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import spectral_edge as se
from spectral_edge.comparison.documents import Documents
from support.linear_models import INS, gaussian, linear_model


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def gain_by_scikit_learn(features, y, fold, alpha=1.0):
    x = StandardScaler().fit_transform(features)
    errors = total = 0.0
    for held in np.unique(fold):
        out = fold == held
        fit = Ridge(alpha=alpha).fit(x[~out], y[~out])
        errors += ((y[out] - fit.predict(x[out]).reshape(y[out].shape)) ** 2).sum()
        total += ((y[out] - y[~out].mean(0)) ** 2).sum()
    return 1 - errors / total


@pytest.mark.parametrize("documents", [None, np.arange(60) // 4])
def test_gain_is_that_of_scikit_learn(documents):
    features = numbers(60, 4)
    response = features[:, :2] @ numbers(2, 3, seed=1) + numbers(60, 3, seed=2)
    fold = Documents(range(60) if documents is None else documents).folds(5)
    expected = gain_by_scikit_learn(features, response, fold)
    for table in (features, polars.DataFrame(features), torch.tensor(features)):
        assert se.Covariates(table, documents)(torch.tensor(response)) == pytest.approx(expected, rel=1e-9)


def test_gain_of_outputs_has_one_row_an_output_and_leaves_masked_ones_out():
    features, response = numbers(30 * 5, 3), numbers(30, 5, seed=1)
    response += features[:, :1].reshape(30, 5)
    mask = numbers(30, 5, seed=2) > -0.5
    fold = Documents(range(30)).folds(5).repeat(5)[mask.reshape(-1)]
    expected = gain_by_scikit_learn(features[mask.reshape(-1)], response[mask], fold)
    spoiled = np.where(mask, response, 1e6)
    assert se.Covariates(features, mask=mask)(torch.tensor(spoiled)) == pytest.approx(expected, rel=1e-9)


def test_documents_stay_together():
    names = np.repeat(["a", "b", "c", "d", "e", "f", "long"], [2, 2, 2, 2, 2, 2, 5])
    documents = Documents(names)
    fold = documents.folds(3)
    assert all(len(set(fold[names == name])) == 1 for name in set(names))
    assert len(set(fold)) == 3
    taken = [documents.exchanged(np.random.default_rng(seed)) for seed in range(20)]
    for found in taken:
        assert sorted(found) == list(range(17))
        for name in set(names):
            (source,) = {names[i] for i in found[names == name]}
            assert (source == "long") == (name == "long")
            assert list(np.diff(found[names == name])) == [1] * (4 if name == "long" else 1)
    assert len({tuple(found) for found in taken}) > 15


def test_similarity_is_the_u_statistic():
    """Song et al. 2012, equation 3: the mean over all quadruples of different inputs."""
    one, two = numbers(7, 3), numbers(7, 2, seed=1)

    def slow(k, other):
        values = [
            k[t, u] * other[t, u] + k[t, u] * other[v, w] - 2 * k[t, u] * other[t, v]
            for t, u, v, w in itertools.permutations(range(len(k)), 4)
        ]
        return np.mean(values)

    k, other = one @ one.T, two @ two.T
    expected = slow(k, other) / np.sqrt(slow(k, k) * slow(other, other))
    assert se.Similarity(two)(torch.tensor(one)) == pytest.approx(expected, rel=1e-9)


def test_similarity_knows_neither_rotation_nor_shift_and_does_not_grow_with_width():
    x = numbers(80, 4)
    turned = torch.tensor(3 * x @ np.linalg.qr(numbers(4, 4, seed=1))[0] + 7)
    assert se.Similarity(x)(turned) == pytest.approx(1, abs=1e-9)
    wide = [se.Similarity(numbers(80, 300, seed=s))(torch.tensor(numbers(80, 300, seed=s + 50))) for s in range(20)]
    assert abs(np.mean(wide)) < 0.02  # the biased estimate has .79


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_component_share_is_that_of_a_singular_value_decomposition(shape):
    response = numbers(*shape) * np.linspace(1, 3, shape[1])
    power = np.linalg.svd(response - response.mean(0), compute_uv=False) ** 2
    for k in (1, 3):
        assert se.ComponentShare(k)(torch.tensor(response)) == pytest.approx(power[:k].sum() / power.sum(), rel=1e-9)


def test_compare_finds_a_planted_covariate_and_documents_are_what_is_exchanged():
    model, parameters = linear_model()
    inputs = gaussian(60, INS, seed=3)
    direction = gaussian(1, parameters.dim, seed=4)
    statistics = {
        "told": se.Covariates(inputs.numpy()),
        "noise": se.Covariates(numbers(60, INS)),
        "alike": se.Similarity(inputs.numpy() @ numbers(INS, INS, seed=2)),
        "share": se.ComponentShare(2),
    }
    found = se.compare(model, direction, inputs, statistics, parameters=parameters, nulls=["inputs"], draws=99, seed=0)
    table = found.table
    assert set(table["statistic"]) == {"told", "noise", "alike"}  # a share has no labels
    pvalue = dict(table.select("statistic", "pvalue").iter_rows())
    assert pvalue["told"] == pvalue["alike"] == 0.01
    assert pvalue["noise"] > 0.05


def test_what_does_not_fit_is_named():
    table = polars.DataFrame({"length": [1.0, None, 3.0], "depth": [0.0, 1.0, 2.0]})
    with pytest.raises(ValueError, match="1 rows have missing values, the first is row 1, feature 'length'"):
        se.Covariates(table)
    with pytest.raises(ValueError, match="not numbers"):
        se.Covariates([["a"], ["b"]])
    with pytest.raises(ValueError, match="at least 2"):
        se.Covariates(numbers(9, 2), folds=1)
    response = torch.tensor(numbers(20, 3))
    with pytest.raises(ValueError, match="20, one an input, or 60, one an output"):
        se.Covariates(numbers(19, 2))(response)
    with pytest.raises(ValueError, match="19 documents"):
        se.Covariates(numbers(20, 2), documents=range(19))(response)
    with pytest.raises(ValueError, match="3 make no 5 folds"):
        se.Covariates(numbers(20, 2), documents=np.arange(20) % 3)(response)
    with pytest.raises(ValueError, match="row an output"):
        se.Covariates(numbers(20, 2), mask=np.ones((20, 3), dtype=bool))(response)
    with pytest.raises(ValueError, match="mask is"):
        se.Covariates(numbers(60, 2), mask=np.ones((20, 2), dtype=bool))(response)
    with pytest.raises(ValueError, match="cut documents"):
        se.Similarity(numbers(6, 2), documents=[0, 1, 1, 2, 2, 2]).permute_labels(np.random.default_rng(0))
    with pytest.raises(ValueError, match="several"):
        Documents([1, 1])
    with pytest.raises(ValueError, match="20 rows of features for 21"):
        se.Similarity(numbers(20, 2))(torch.ones(21, 2))
    with pytest.raises(ValueError, match="not finite"):
        se.Similarity(np.where(numbers(9, 2) > 1, np.nan, 0))
    with pytest.raises(ValueError, match="components = 0"):
        se.ComponentShare(0)


def test_padding_changes_neither_the_measured_gain_nor_what_exchanges_give():
    """Features of outputs that do not count (padding) mark late positions; a response may follow the position."""
    rng = np.random.default_rng(0)
    n, d = 40, 12
    mask = np.arange(d) < rng.integers(3, d + 1, n)[:, None]
    features = rng.integers(0, 2, (n, d, 2)).astype(float)
    response = torch.tensor((rng.normal(size=(n, d)) + 3 * (np.arange(d) < 4)) * mask)
    found = []
    for padding in (0.0, 50.0):
        features[~mask] = padding
        statistic = se.Covariates(features.reshape(n * d, 2), mask=mask)
        others = [statistic.permute_labels(np.random.default_rng(i))(response) for i in range(20)]
        found.append([statistic(response), *others])
    assert found[0] == pytest.approx(found[1])
    assert abs(np.mean(found[0][1:]) - found[0][0]) < 0.02  # neither predicts


def test_names_of_documents_and_runs_may_be_a_tensor():
    features = numbers(20, 2)
    response = torch.tensor(numbers(20, 1, seed=1))
    of_list, of_tensor, of_array = (
        se.Covariates(features, documents)(response)
        for documents in ([i // 2 for i in range(20)], torch.arange(20) // 2, np.arange(20) // 2)
    )
    assert of_list == of_tensor == of_array


def test_one_statistic_that_cannot_be_permuted_leaves_the_others_theirs():
    documents = np.repeat(np.arange(7), np.arange(7) + 1)  # all of different sizes
    model = torch.nn.Linear(3, 2, bias=False)
    inputs = torch.tensor(numbers(len(documents), 3, seed=2), dtype=torch.float32)
    statistics = [se.Covariates(numbers(len(documents), 2), documents), se.Concentration(np.arange(28) % 4, 4)]
    arguments = (model, torch.ones(1, 6), inputs, statistics)
    result = se.compare(*arguments, parameters="weight", draws=5)
    assert {row.statistic for row in result.rows if row.null == "inputs"} == {"concentration"}
    assert result.left_out["inputs"].startswith("only for covariates: ")
    with pytest.raises(ValueError, match="null 'inputs' cannot be drawn: covariates"):
        se.compare(*arguments, parameters="weight", draws=5, nulls="inputs")
