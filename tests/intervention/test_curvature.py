"""vᵀHv and vᵀGv against matrices written out in float64."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

import spectral_edge as se
from spectral_edge.intervention import curvature

N, CLASSES = 7, 3


def problem():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, CLASSES)).double()
    inputs = {"x": torch.randn(N, 4, dtype=torch.float64), "y": torch.randint(CLASSES, (N,))}
    return model, inputs, se.ParameterSubset(dict(model.named_parameters()))


def forward(model, batch):
    return model(batch["x"])


def loss(outputs, batch):
    return nn.functional.cross_entropy(outputs, batch["y"])


def written_out(model, inputs, parameters):
    """H and G of the mean loss, entry by entry."""
    model.eval()
    theta = parameters.flatten()

    def outputs(flat):
        return functional_call(model, parameters.unflatten(flat), (inputs["x"],))

    hessian = torch.autograd.functional.hessian(lambda flat: loss(outputs(flat), inputs), theta)
    jacobian = torch.autograd.functional.jacobian(outputs, theta)  # (N, classes, D)
    p = outputs(theta).softmax(-1)
    of_loss = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) / N
    newton = torch.einsum("nid,nij,nje->de", jacobian, of_loss, jacobian)
    model.train()
    return hessian.detach(), newton.detach()


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("kind", ["hessian", "gauss_newton"])
def test_it_is_the_quadratic_form_of_the_matrix_written_out(kind, batch_size):
    model, inputs, parameters = problem()
    matrix = dict(zip(("hessian", "gauss_newton"), written_out(model, inputs, parameters), strict=True))[kind]
    bend = curvature(model, inputs, loss, parameters=parameters, forward=forward, kind=kind, batch_size=batch_size)
    for v in torch.randn(4, parameters.dim, dtype=torch.float64):
        assert bend(v) == pytest.approx(float(v @ matrix @ v), rel=1e-9)
    assert model.training


def test_it_is_a_statistic_of_a_comparison():
    model, inputs, parameters = problem()
    hessian, _ = written_out(model, inputs, parameters)
    bend = curvature(model, inputs, loss, parameters=parameters, forward=forward)
    top = torch.linalg.eigh(hessian).eigenvectors[:, -1:].T
    found = se.compare(
        model, top, inputs, bend, parameters=parameters, forward=forward, nulls="isotropic", draws=20, quiet=True
    )
    (row,) = found.rows
    assert row.measured == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-4)
    assert row.statistic == "curvature_hessian"
    assert row.effect > 3


def test_the_papers_model_bends_as_its_loss_says():
    """Against the second difference of the loss itself."""
    training = se.Training(se.TrainingConfig(operation="add", p=7, d_model=16, n_heads=2, d_mlp=16, seed=1))
    model = training.model.double()
    parameters = se.attention_weights(model)
    task = training.task
    inputs = {"pairs": torch.as_tensor(task.pairs), "y": torch.as_tensor(task.labels)}

    def logits(model, batch):
        return model(batch["pairs"][:, 0], batch["pairs"][:, 1])

    bend = curvature(model, inputs, loss, forward=logits)
    v = se.random_directions(1, parameters.dim, seed=0)[0].double()

    def moved(step):
        flat = parameters.unflatten(parameters.flatten() + step * v)
        model.eval()
        outputs = functional_call(model, flat, (inputs["pairs"][:, 0], inputs["pairs"][:, 1]))
        return loss(outputs, inputs).item()

    h = 1e-3
    assert bend(v) == pytest.approx((moved(h) - 2 * moved(0) + moved(-h)) / h**2, rel=1e-4, abs=1e-8)


def test_what_has_no_curvature_is_named():
    model, inputs, parameters = problem()
    with pytest.raises(ValueError, match="'fisher'"):
        curvature(model, inputs, loss, parameters=parameters, forward=forward, kind="fisher")
    bend = curvature(model, inputs, lambda h, batch: h.square().sum(1), parameters=parameters, forward=forward)
    with pytest.raises(ValueError, match=r"shape \(7,\)"):
        bend(torch.ones(parameters.dim, dtype=torch.float64))


def test_draws_that_several_threads_share_leave_the_model_whole():
    training = se.Training(se.TrainingConfig(operation="add", p=7, d_model=16, n_heads=2, d_mlp=16, seed=1))
    model, pairs = training.model, torch.as_tensor(training.task.pairs)
    bend = curvature(
        model,
        {"pairs": pairs},
        lambda outputs, batch: outputs.square().mean(),
        forward=lambda m, batch: m(batch["pairs"][:, 0], batch["pairs"][:, 1]),
    )
    dim = se.attention_weights(model).dim
    tables = [
        se.compare(
            model, se.random_directions(1, dim, seed=0), pairs, bend, nulls="isotropic", draws=24, threads=n, quiet=True
        ).rows[0].values
        for n in (1, 2)
    ]  # fmt: skip
    assert tables[0].tolist() == tables[1].tolist()
    assert all(isinstance(p, nn.Parameter) for p in se.attention_weights(model).parameters.values())
