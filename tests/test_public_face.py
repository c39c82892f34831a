"""The path of the README and the design, on the paper's own shapes, with values known in advance."""

import numpy as np
import pytest
import torch

import spectral_edge as se


def test_the_way_through_on_the_paper_s_shapes():
    task = se.ModularTask("add", p=97)
    split = task.split(frac_train=0.5, seed=42)
    assert len(split.train) + len(split.test) == len(task.pairs) == 97**2
    model = se.ModularTransformer(p=97, tasks=("add",), d_model=128, n_heads=4, n_layers=2, d_mlp=256)
    params = se.attention_weights(model)
    updates = se.random_directions(20, params.dim, seed=1)
    edge = se.spectral_edge(updates, center=True)
    assert edge.directions(8).shape == (8, 131_072)
    pairs = task.pairs[:200]
    modes = se.functional_modes(model, edge.directions(2), pairs, parameters=params, method="jvp")
    assert modes.response.shape == (2, 200, 128)
    assert modes.energy.shape == (2, 200)
    quotient = se.functional_modes(
        model, edge.directions(2), pairs, parameters=params, method="finite_difference", relative_epsilon=0.005
    )
    assert (se.discrepancy(modes, quotient) < 0.05).all()
    assert se.head_purity(edge.directions(1)[0], params) == pytest.approx(1 / 8, abs=0.01)
    assert 1 <= se.effective_rank(modes.response[0]) <= 128


def test_every_grouping_of_the_design_reads_a_planted_mode():
    names = ["sum", "difference", "output:x2_y2", "output:mul", "discrete_log", "discrete_log_difference"]
    names += ["output_discrete_log:x2_y2", "gaussian_radial", "gaussian_angular"]
    pairs = se.ModularTask("add", p=97).pairs
    for name in names:
        q = se.grouping(name, p=97)
        labels = q(pairs)
        planted = np.cos(2 * np.pi * 5 * labels / q.order)
        profile = se.fourier_profile(planted, labels, q.order)
        assert profile.peak[0] == 5, name
        assert profile.variance_share[0] == pytest.approx(1), name
        assert profile.power.shape == (1, q.order // 2)


def test_the_signed_spectrum_of_a_planted_sum():
    a, b = np.mgrid[:97, :97]
    spectrum = se.character_spectrum(np.cos(2 * np.pi * 26 * (a + b) / 97)[None])
    assert spectrum.shares["sum"][0] == pytest.approx(1)
    assert sum(share[0] for share in spectrum.shares.values()) == pytest.approx(1)
    assert spectrum.top[0][:2] == (26, 26)


def test_everything_public_is_named_once():
    assert sorted(se.__all__) == list(se.__all__)
    assert all(hasattr(se, name) for name in se.__all__)


def test_the_table_is_built_for_any_device_and_dtype():
    model = se.ModularTransformer(p=11, d_model=16, n_heads=2, d_mlp=8).double()
    logits = model(torch.tensor([1]), torch.tensor([2]))
    assert logits.dtype == torch.float64
