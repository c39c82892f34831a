import copy

import pytest
import torch
from torch import nn

import spectral_edge as se


def loop(optimizer, model, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    states = [copy.deepcopy(model.state_dict())]
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 4, generator=generator)).square().mean().backward()
        optimizer.step()
        states.append(copy.deepcopy(model.state_dict()))
    return states


@pytest.fixture
def setup():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2)


@pytest.mark.parametrize("every", [1, 3])
def test_updates_are_the_differences_of_the_parameters(setup, every):
    model, optimizer = setup
    with se.watch(model, optimizer, parameters="weight", window=4, every=every) as recorder:
        states = loop(optimizer, model, 4 * every + 2)
    theta = (
        [recorder.parameters.flatten(state) for state in states[::every][:5]]
        if every > 1
        else [recorder.parameters.flatten(state) for state in states[-5:]]
    )
    assert torch.equal(recorder.window.updates, torch.stack(theta)[1:] - torch.stack(theta)[:-1])
    expected = se.spectral_edge(recorder.window.updates, center=False).singular_values
    assert recorder.edge(center=False).singular_values.tolist() == pytest.approx(expected.tolist())


def test_the_hook_is_gone_after_the_block(setup):
    model, optimizer = setup
    with se.watch(model, optimizer, parameters="weight", window=2) as recorder:
        loop(optimizer, model, 3)
    loop(optimizer, model, 3)
    assert recorder.steps == 3


def test_steps_that_move_nothing_give_no_update(setup):
    model, optimizer = setup
    with se.watch(model, optimizer, parameters="weight", window=2) as recorder:
        loop(optimizer, model, 2)
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        loop(optimizer, model, 1)
    assert recorder.steps == 3
    assert (recorder.window.updates != 0).any(dim=1).all()


def test_state_dict_continues_bitwise(setup):
    model, optimizer = setup
    with se.watch(model, optimizer, parameters="weight", window=3) as recorder:
        loop(optimizer, model, 4)
        with se.watch(model, optimizer, parameters="weight", window=3) as resumed:
            resumed.load_state_dict(recorder.state_dict())
            loop(optimizer, model, 2, seed=1)
    assert torch.equal(recorder.window.updates, resumed.window.updates)
    assert resumed.steps == 6


def test_errors(setup):
    model, optimizer = setup
    with (
        pytest.raises(ValueError, match="every = 0"),
        se.watch(model, optimizer, parameters="weight", every=0),
    ):
        pass
    with (
        pytest.raises(ValueError, match="at least 2"),
        se.watch(model, optimizer, parameters="weight", window=1),
    ):
        pass
    with pytest.raises(ValueError, match="has no nn"), se.watch(model, optimizer):
        pass
