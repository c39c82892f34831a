"""The metric of adaptive optimizers against steps that they really take, and edges in it against a plain SVD."""

import pytest
import torch
from torch import nn

import spectral_edge as se


def stepped(make, steps=5):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = make(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(8, 3)) ** 2).mean().backward()
        optimizer.step()
    return model, optimizer, se.ParameterSubset(dict(model.named_parameters()))


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_the_metric_turns_the_next_step_into_its_momentum(kind, amsgrad):
    """θ moves by -η m̂ / metric: the metric times a step is what the optimizer keeps as momentum."""
    model, optimizer, parameters = stepped(lambda p: kind(p, lr=0.01, weight_decay=0.0, amsgrad=amsgrad, eps=1e-3))
    before = parameters.flatten()
    optimizer.zero_grad()
    (model(torch.ones(1, 3)) ** 2).mean().backward()
    optimizer.step()
    moments = parameters.flatten({n: optimizer.state[p]["exp_avg"] for n, p in parameters.parameters.items()})
    corrected = moments / (1 - 0.9**6)
    moved = before - parameters.flatten()
    torch.testing.assert_close(
        moved * se.optimizer_metric(optimizer, parameters), 0.01 * corrected, rtol=1e-3, atol=1e-7
    )


def test_optimizers_without_second_moments_are_refused():
    _, optimizer, parameters = stepped(lambda p: torch.optim.SGD(p, lr=0.1))
    with pytest.raises(ValueError, match="SGD has no second moments of 'weight'"):
        se.optimizer_metric(optimizer, parameters)
    _, optimizer, parameters = stepped(lambda p: torch.optim.Adam(p), steps=0)
    with pytest.raises(ValueError, match="first step"):
        se.optimizer_metric(optimizer, parameters)


def updates_and_metric(w=6, d=500):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(w, d, generator=generator), 10 ** torch.randn(d, generator=generator)


@pytest.mark.parametrize("center", [True, False])
def test_an_edge_in_a_metric_is_an_svd_of_scaled_updates(center):
    updates, metric = updates_and_metric()
    edge = se.spectral_edge(updates, center=center).in_metric(metric)
    x = updates.double() - updates.double().mean(0) if center else updates.double()
    _, sigma, rows = torch.linalg.svd(x * metric.double().sqrt(), full_matrices=False)
    found = edge.identifiable
    assert edge.centered == center
    assert found == len(updates) - center
    torch.testing.assert_close(torch.from_numpy(edge.singular_values[:found].copy()), sigma[:found], rtol=1e-6, atol=0)
    back = rows[:found] / metric.double().sqrt()
    back /= back.norm(dim=1, keepdim=True)
    cosines = (edge.directions(found).double() * back).sum(1).abs()
    torch.testing.assert_close(cosines, torch.ones_like(cosines), rtol=0, atol=1e-6)


def test_the_metric_of_ones_changes_nothing():
    updates, metric = updates_and_metric()
    plain = se.spectral_edge(updates)
    edge = plain.in_metric(torch.ones_like(metric))
    torch.testing.assert_close(
        edge.singular_values, plain.singular_values, rtol=1e-6, atol=1e-9 * plain.singular_values[0]
    )
    torch.testing.assert_close(edge.directions(3), plain.directions(3), rtol=1e-5, atol=1e-6)
    assert edge.position == plain.position


def test_a_recorders_edge_has_the_metric_of_its_optimizer():
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with se.watch(model, optimizer, parameters=".", window=4, every=1, verbose=False) as recorder:
        for _ in range(6):
            optimizer.zero_grad()
            (model(torch.randn(16, 6)) - 1).square().mean().backward()
            optimizer.step()
        metric = se.optimizer_metric(optimizer, recorder.parameters)
        edge = recorder.edge().in_metric(metric)
        again = se.spectral_edge(recorder.window.updates).in_metric(metric)
    torch.testing.assert_close(edge.singular_values, again.singular_values)


def test_metrics_that_do_not_fit_are_refused():
    updates, metric = updates_and_metric()
    edge = se.spectral_edge(updates)
    with pytest.raises(ValueError, match=r"shape \(499,\); these updates need \(500,\)"):
        edge.in_metric(metric[1:])
    with pytest.raises(ValueError, match="negative or not finite"):
        edge.in_metric(-metric)
    with pytest.raises(ValueError, match="exactly zero"):
        edge.in_metric(torch.zeros_like(metric))
