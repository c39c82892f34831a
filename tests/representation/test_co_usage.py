import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn
from torch.func import functional_call, grad, vmap

import spectral_edge as se
from spectral_edge.representation import co_usage, half_mass_share, loss_derivatives, loss_gradient, sharedness


@pytest.mark.parametrize("tasks", [("add",), ("add", "x2_y2")])
def test_loss_derivatives_equal_per_example_gradients(tasks):
    torch.manual_seed(0)
    model = se.ModularTransformer(p=11, tasks=tasks, d_model=16, n_heads=2, d_mlp=24).double()
    with torch.no_grad():  # gains, biases and layers that differ
        for w in model.parameters():
            w += 0.3 * torch.randn_like(w)
    parameters = se.attention_weights(model)
    directions = se.random_directions(3, parameters.dim, seed=0).double()
    pairs = torch.from_numpy(se.ModularTask("add", 11).pairs)
    modes = se.functional_modes(model, directions, pairs)
    residual = model(pairs[:, 0], pairs[:, 1], return_residual=True)[1]
    weights = {name: w.detach() for name, w in parameters.parameters.items()}
    for task in tasks:
        labels = torch.from_numpy(se.ModularTask(task, 11).labels)
        head = nn.Sequential(model.ln, model.head if len(tasks) == 1 else getattr(model, f"head_{task}"))

        def loss(values, pair, label, task=task):
            logits = functional_call(model, values, (pair[:1], pair[1:]))
            return F.cross_entropy(logits if len(tasks) == 1 else logits[task], label[None])

        gradients = vmap(grad(loss), in_dims=(None, 0, 0))(weights, pairs, labels)
        flat = torch.cat([gradients[name].flatten(1) for name in parameters.names], dim=1)
        found = loss_derivatives(modes.response, loss_gradient(head, residual, labels))
        torch.testing.assert_close(found, directions @ flat.T, rtol=1e-6, atol=1e-9)
    assert model.ln.weight.requires_grad  # the head was copied
    assert model.ln.weight.grad is None


def test_the_gradient_of_a_sure_answer_is_not_rounded_away():
    head = nn.Linear(2, 2, bias=False)
    head.weight.data = torch.eye(2)
    residual = torch.tensor([[30.0, 0.0]])
    wrong = 1 / (1 + np.exp(30.0))  # softmax of the wrong class, 9e-14: 1 - wrong is 1 in float32
    found = loss_gradient(head, residual, torch.tensor([0]))
    assert found[0].tolist() == pytest.approx([-wrong, wrong], rel=1e-3)


def test_loss_derivatives_need_the_same_inputs():
    with pytest.raises(ValueError, match="differ in inputs"):
        loss_derivatives(torch.ones(2, 5, 3), torch.ones(4, 3))


def test_co_usage_equals_numpy_and_scipy():
    values = np.random.default_rng(0).normal(size=(4, 50)).round(1) ** 3  # with ties
    np.testing.assert_allclose(co_usage(values), np.corrcoef(values), atol=1e-12)
    np.testing.assert_allclose(co_usage(values, "spearman"), stats.spearmanr(values.T).statistic, atol=1e-12)
    np.testing.assert_allclose(np.abs(co_usage(values * [[1], [-1], [1], [1]])), np.abs(co_usage(values)), atol=1e-12)


def test_one_input_makes_a_pearson_correlation_but_no_spearman_correlation():
    values = np.random.default_rng(0).normal(size=(2, 500))
    values[:, 0] = 1000
    assert co_usage(values)[0, 1] > 0.99
    assert abs(co_usage(values, "spearman")[0, 1]) < 0.15  # 3.3 standard errors


def test_co_usage_refusals():
    with pytest.raises(ValueError, match=r"\(k, N\)"):
        co_usage([1.0, 2.0])
    with pytest.raises(ValueError, match="derivative 1 is constant"):
        co_usage([[1.0, 2.0], [3.0, 3.0]])
    with pytest.raises(ValueError, match="choose"):
        co_usage([[1.0, 2.0]], "kendall")


def test_sharedness_counts_the_tasks():
    usage = np.array([[1, 1, 1, 3], [1, 1, 0, 1], [1, 0, 0, 0]]) * 1e-200  # squares underflow
    np.testing.assert_allclose(sharedness(usage), [1, 2 / 3, 1 / 3, 16 / 30])
    with pytest.raises(ValueError, match="zero for all tasks"):
        sharedness([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="negative"):
        sharedness([[1.0], [-1.0]])
    with pytest.raises(ValueError, match="at least one task"):
        sharedness(np.empty((0, 3)))


def test_half_of_the_mass():
    spike = np.zeros(100)
    spike[3] = -1
    normal = stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    edge = stats.chi(3).median()  # half of E[x^2] lies at |x| > the median of a chi with 3 degrees of freedom
    assert half_mass_share([spike]) == 0.01
    assert half_mass_share([np.ones(100)]) == 0.5
    assert half_mass_share([normal])[0] == pytest.approx(2 * stats.norm.sf(edge), abs=1e-3)
    with pytest.raises(ValueError, match="zero for all inputs"):
        half_mass_share([[0.0, 0.0]])
