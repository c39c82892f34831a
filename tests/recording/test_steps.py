"""Steps that run PyTorch's hooks twice, and steps that raise: what is seen is what the weights themselves did."""

import copy

import numpy as np
import pytest
import torch

import spectral_edge as se


class Clipped(torch.optim.AdamW):
    """Does something before the step of its base class."""

    def step(self, closure=None):
        torch.nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], 1.0)
        return super().step(closure)


class Noisy(torch.optim.SGD):
    """Moves the weights before and after the step of its base class."""

    @torch.no_grad()
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            parameter.mul_(0.99)
        super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            parameter.add_(0.01 * torch.randn_like(parameter))


@pytest.fixture(autouse=True)
def hooks_of_both_classes():
    """PyTorch runs the hooks of a base class once an object of it has been made."""
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def flat(model):
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])


def linear():
    torch.manual_seed(0)
    return torch.nn.Linear(6, 4)


def backward(model, optimizer):
    optimizer.zero_grad()
    model(torch.randn(8, 6)).square().mean().backward()


def sigma(rows):
    return np.linalg.svd(rows.numpy(), compute_uv=False)


@pytest.mark.parametrize("kind", [Clipped, Noisy])
@pytest.mark.parametrize("every", [1, 2])
def test_a_step_that_calls_that_of_its_base_class_is_one_step(kind, every):
    model = linear()
    optimizer = kind(model.parameters(), lr=0.05)
    weights = [flat(model)]
    with se.watch(model, optimizer, parameters=".", window=3, every=every, verbose=False) as recorder:
        for _ in range(8):
            backward(model, optimizer)
            optimizer.step()
            weights.append(flat(model))
    assert recorder.steps == 8
    rows = torch.stack(weights[::every]).diff(dim=0)[-3:]
    assert recorder.edge(center=False).singular_values == pytest.approx(sigma(rows), rel=1e-4)


def test_its_decay_is_counted_once():
    model = linear()
    optimizer = Clipped(model.parameters(), lr=0.01, weight_decay=0.5)
    decay = []
    with se.watch(model, optimizer, parameters=".", window=4, decay=True, verbose=False) as recorder:
        for _ in range(4):
            backward(model, optimizer)
            decay.append(-0.005 * flat(model))
            optimizer.step()
    assert recorder.edge(of="decay", center=False).singular_values[0] == pytest.approx(sigma(torch.stack(decay))[0])


def interrupted(optimizer):
    def closure():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)


def test_a_step_that_raised_is_no_step_and_its_decay_is_not_counted():
    model = linear()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    weights, decay = [flat(model)], []
    with se.watch(model, optimizer, parameters=".", window=5, decay=True, verbose=False) as recorder:
        for step in range(5):
            if step == 3:
                interrupted(optimizer)
            backward(model, optimizer)
            decay.append(-0.005 * flat(model))
            optimizer.step()
            weights.append(flat(model))
    assert recorder.steps == 5
    rows, decay = torch.stack(weights).diff(dim=0), torch.stack(decay)
    for part, expected in {"update": rows, "decay": decay, "gradient": rows - decay}.items():
        found = recorder.edge(of=part, center=False).singular_values[:2]
        assert found == pytest.approx(sigma(expected)[:2], rel=1e-3)


def test_updates_are_projected_also_after_a_step_that_raised():
    model = linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    parameters = se.select_parameters(model, ".")
    axis = torch.eye(parameters.dim)[:1]
    before = flat(model)[0]
    with se.project_updates(optimizer, parameters, remove=axis) as arm:
        for step in range(4):
            if step == 2:
                interrupted(optimizer)
            backward(model, optimizer)
            optimizer.step()
    assert arm.steps == 4
    assert flat(model)[0] == pytest.approx(before.item(), abs=1e-6)


def test_half_of_a_step_before_a_state_is_restored_is_forgotten():
    """Two optimizers, interrupted between them: the next step begins anew."""
    model = linear()
    optimizers = [torch.optim.SGD([parameter], lr=0.1) for parameter in model.parameters()]
    with se.watch(model, optimizers, parameters=".", window=3, every=2, verbose=False) as recorder:
        for _ in range(4):
            backward(model, optimizers[0])
            for optimizer in optimizers:
                optimizer.step()
        saved = copy.deepcopy((recorder.state_dict(), model.state_dict()))
        optimizers[0].step()
        recorder.load_state_dict(saved[0])
        model.load_state_dict(saved[1])
        weights = [flat(model)]
        for _ in range(6):
            backward(model, optimizers[0])
            for optimizer in optimizers:
                optimizer.step()
            weights.append(flat(model))
    assert recorder.window.steps == [6, 8, 10]
    rows = torch.stack(weights[::2]).diff(dim=0)
    torch.testing.assert_close(recorder.window.updates, rows)
