"""Statistics of labelled inputs against slow twins written from their definitions."""

import numpy as np
import pytest
import torch

import spectral_edge as se
from support.linear_models import gaussian


def slow_concentration(h, labels, order):
    f = (h**2).sum(axis=1)
    means = np.array([f[labels == q].mean() for q in range(order)])
    power = [
        abs(sum(m * np.exp(-2j * np.pi * w * q / order) for q, m in enumerate(means))) ** 2
        for w in range(1, order // 2 + 1)
    ]
    return max(power) / sum(power)


def slow_share(h, labels, order, component):
    centred = h - h.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    score = (u * s)[:, component - 1][labels >= 0]
    known = labels[labels >= 0]
    mean = score.mean()
    between = sum(
        (known == q).sum() * (score[known == q].mean() - mean) ** 2 for q in range(order) if (known == q).any()
    )
    return between / ((score - mean) ** 2).sum()


def slow_peakedness(h, labels, order):
    h, labels = h[labels >= 0], labels[labels >= 0]
    score = h @ np.linalg.svd(h)[2][0]
    score -= score.mean()
    power = []
    for w in range(1, order // 2 + 1):
        waves = [wave(2 * np.pi * w * labels / order) for wave in (np.cos, np.sin)]
        norms = [np.linalg.norm(wave) for wave in waves]
        power.append(sum((score @ wave / n) ** 2 for wave, n in zip(waves, norms, strict=True) if n > 1e-6))
    return max(power) / np.mean(power)


@pytest.mark.parametrize("order", [7, 8])
@pytest.mark.parametrize("shape", [(90, 5), (90, 200)])
def test_against_slow_twins(order, shape):
    rng = np.random.default_rng(order)
    labels = rng.integers(-1, order, shape[0])
    h = rng.standard_normal(shape) + np.cos(2 * np.pi * 3 * labels / order)[:, None]
    response = torch.from_numpy(h)
    assert se.Concentration(labels, order)(response) == pytest.approx(slow_concentration(h, labels, order), rel=1e-9)
    assert se.Peakedness(labels, order)(response) == pytest.approx(slow_peakedness(h, labels, order), rel=1e-7)
    for component in (1, 3):
        share = se.VarianceShare(labels, order, component=component)
        assert share(response) == pytest.approx(slow_share(h, labels, order, component), rel=1e-7)


def test_one_mode_is_found_whole():
    labels = np.arange(970) % 97
    wave = torch.from_numpy(np.cos(2 * np.pi * 26 * labels / 97))[:, None]
    assert se.Peakedness(labels, 97)(wave) == pytest.approx(48)
    assert se.VarianceShare(labels, 97)(wave) == pytest.approx(1)
    assert se.Concentration(labels, 97)((2 + wave).sqrt()) == pytest.approx(1)


def test_labels_are_exchanged_as_whole_groups():
    labels = np.array([-1, 0, 0, 1, 1, 1, 2, 3, 3, -1])
    response = gaussian(10, 3)
    names = np.random.default_rng(1).permuted(np.arange(4)[None], axis=1)[0]
    moved = np.where(labels < 0, -1, names[labels])
    for kind in (se.Concentration, se.Peakedness, se.VarianceShare):
        permuted = kind(labels, 4).permute_labels(np.random.default_rng(1))
        assert permuted(response) == pytest.approx(kind(moved, 4)(response), rel=1e-9)
