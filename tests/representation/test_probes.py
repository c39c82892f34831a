"""Ridge probes against scikit-learn, and their features against a loop over pairs."""

import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

import spectral_edge as se
from spectral_edge.representation import (
    RidgeProbe,
    cross_term_features,
    cross_term_sets,
    fourier_features,
    mirror_folds,
)


@pytest.fixture
def regression():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)) + 3
    responses = np.einsum("nm,kmd->knd", features, rng.normal(size=(4, 5, 3))) + 3 * rng.normal(size=(4, 60, 3)) + 1
    return features, responses.astype(np.float32), (np.arange(60) % 8).clip(max=3)  # folds of unequal size


@pytest.mark.parametrize("alpha", [0.1, 1.0, 50.0])
def test_r2_in_sample_equals_scikit_learn(regression, alpha):
    features, responses, _ = regression
    sets = {"some": slice(1, 3), "all": slice(0, 5)}
    fit = RidgeProbe(features, alpha, sets).r2(responses)
    assert fit.cross_validated is None
    for s, columns in enumerate(sets.values()):
        for k, y in enumerate(responses):
            fitted = Ridge(alpha=alpha).fit(features[:, columns], y).predict(features[:, columns])
            expected = r2_score(y, fitted, multioutput="variance_weighted")
            assert fit.in_sample[s, k] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 50.0])
def test_r2_of_held_out_folds_equals_scikit_learn(regression, alpha):
    features, responses, folds = regression
    sets = {"some": slice(1, 3), "all": slice(0, 5)}
    fit = RidgeProbe(features, alpha, sets, folds).r2(responses)
    np.testing.assert_allclose(fit.in_sample, RidgeProbe(features, alpha, sets).r2(responses).in_sample, rtol=1e-10)
    for s, columns in enumerate(sets.values()):
        for k, y in enumerate(responses.astype(float)):
            residual = total = 0.0
            for fold in range(4):
                train, test = folds != fold, folds == fold
                model = Ridge(alpha=alpha).fit(features[train, columns], y[train])
                residual += ((y[test] - model.predict(features[test, columns])) ** 2).sum()
                total += ((y[test] - y[train].mean(axis=0)) ** 2).sum()
            assert fit.cross_validated[s, k] == pytest.approx(1 - residual / total, rel=1e-8)


def test_many_wide_responses_are_each_measured_alone(regression):
    features, _, folds = regression
    responses = np.random.default_rng(1).normal(size=(5, 60, 500))  # more outputs than are regressed at once
    probe = RidgeProbe(features, folds=folds)
    together = probe.r2(responses)
    for k in range(5):
        alone = probe.r2(responses[k : k + 1])
        assert together.in_sample[0, k] == pytest.approx(alone.in_sample[0, 0], rel=1e-12)
        assert together.cross_validated[0, k] == pytest.approx(alone.cross_validated[0, 0], rel=1e-12)


def test_coefficients_equal_scikit_learn(regression):
    features, responses, folds = regression
    model = Ridge(alpha=2.0).fit(features, responses[0].astype(float))
    for given in (None, folds):
        found = RidgeProbe(features, 2.0, folds=given).coefficients(responses[0])
        np.testing.assert_allclose(found, model.coef_.T, rtol=1e-9)


def test_noise_features_explain_their_share_in_sample_and_less_than_nothing_held_out():
    """m noise features take (m)/(N - 1) of a noise response; held out they cost about as much."""
    rng = np.random.default_rng(2)
    fit = RidgeProbe(rng.normal(size=(1000, 100)), 1e-6, folds=np.arange(1000) % 5).r2(rng.normal(size=(1, 1000, 50)))
    assert fit.in_sample[0, 0] == pytest.approx(100 / 999, abs=0.01)
    assert fit.cross_validated[0, 0] == pytest.approx(-100 / (800 - 101), abs=0.03)


def test_a_constant_response_has_no_r2(regression):
    features, _, folds = regression
    fit = RidgeProbe(features, folds=folds).r2(np.full((1, 60, 2), 3.0))
    assert np.isnan(fit.in_sample).all()
    assert np.isnan(fit.cross_validated).all()


def test_what_does_not_fit_is_refused(regression):
    features, responses, folds = regression
    with pytest.raises(ValueError, match=r"alpha = 0"):
        RidgeProbe(features, 0.0)
    with pytest.raises(ValueError, match="none of them empty"):
        RidgeProbe(features, folds=2 * folds)
    with pytest.raises(ValueError, match="at least two folds"):
        RidgeProbe(features, folds=0 * folds)
    with pytest.raises(ValueError, match="59 inputs; the features are of 60"):
        RidgeProbe(features).r2(responses[:, :59])


def test_cross_term_features_equal_a_loop_over_pairs():
    p, root = 29, 2  # 2 generates the 28 residues; 14 frequencies, of which 10 enter the products
    log = {pow(root, k, p): k for k in range(p - 1)}
    pairs = np.array([(1, 1), (3, 28), (17, 5), (28, 2)])

    def waves(q, order, n):
        angles = [2 * math.pi * w * q / order for w in range(1, n + 1)]
        return [math.cos(t) for t in angles] + [math.sin(t) for t in angles]

    expected = []
    for a, b in pairs.tolist():
        total, product = (a + b) % p, (log[a] + log[b]) % (p - 1)
        crossed = [left * right for left in waves(total, p, 10) for right in waves(product, p - 1, 10)]
        expected.append(waves(total, p, 14) + waves(product, p - 1, 14) + crossed)
    np.testing.assert_allclose(cross_term_features(pairs, p), expected, atol=1e-12)


def test_cross_term_features_have_the_published_numbers_of_columns():
    features = cross_term_features(se.ModularTask("mul", p=97).pairs, 97)
    sizes = {name: features[:, columns].shape[1] for name, columns in cross_term_sets(97).items()}
    assert features.shape == (9216, 592)
    assert sizes == {"add": 96, "mul": 96, "both": 192, "cross": 592}
    with pytest.raises(ValueError, match="zero"):
        cross_term_features(np.array([[0, 1]]), 97)


def test_additive_features_explain_functions_of_the_sum_and_no_others():
    p = 13
    pairs = se.ModularTask("mul", p=p).pairs
    a, b = pairs.T
    of_sum = np.random.default_rng(0).normal(size=(p, 2))[(a + b) % p]
    of_product = np.random.default_rng(1).normal(size=(p, 2))[a * b % p]
    fit = RidgeProbe(cross_term_features(pairs, p), 1e-6, cross_term_sets(p)).r2(np.stack([of_sum, of_product]))
    add, mul, both, _ = fit.in_sample
    np.testing.assert_allclose([add[0], mul[1], both[0], both[1]], 1, atol=1e-6)
    assert max(add[1], mul[0]) < 0.5


def test_folds_keep_mirrored_pairs_together():
    pairs = se.ModularTask("add", p=13).pairs
    folds = mirror_folds(pairs, 5, seed=3)
    square = np.empty((13, 13), dtype=int)
    square[tuple(pairs.T)] = folds
    np.testing.assert_array_equal(square, square.T)
    assert np.ptp(np.bincount(folds, minlength=5)) <= 2 * 13
    assert (mirror_folds(pairs, 5, seed=4) != folds).any()
    with pytest.raises(ValueError, match=r"outside 2\.\.91"):
        mirror_folds(pairs, 92, seed=0)


def test_fourier_features_are_the_columns_of_a_fourier_transform():
    labels = np.arange(8)
    values = np.random.default_rng(0).normal(size=8)
    spectrum = np.fft.fft(values)
    found = values @ fourier_features(labels, 8)
    np.testing.assert_allclose(found, np.concatenate([spectrum[1:5].real, -spectrum[1:5].imag]), atol=1e-12)


def test_a_constant_response_has_no_share_whatever_its_value():
    x = np.random.default_rng(0).standard_normal((40, 6))
    fit = RidgeProbe(x, folds=np.arange(40) % 4).r2(np.full((1, 40, 3), 0.1))
    assert np.isnan(fit.in_sample).all()
    assert np.isnan(fit.cross_validated).all()


def test_labels_frequencies_and_folds_out_of_range_are_named():
    with pytest.raises(ValueError, match="labels from -1 to 2"):
        fourier_features([-1, 2], 9)
    with pytest.raises(ValueError, match="n_frequencies = 5"):
        fourier_features([1, 2], 9, 5)
    with pytest.raises(ValueError, match=r"n_folds = 2\.5"):
        mirror_folds(np.array([[1, 2], [2, 3], [3, 4]]), 2.5, 0)
