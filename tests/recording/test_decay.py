"""The decay part of updates against the formula in float64, a slow twin; what has no such part is refused."""

import pytest
import torch

import spectral_edge as se
from spectral_edge.recording import DecayPart


def two_groups(optimizer=torch.optim.AdamW, **rates):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).double()
    first = {"params": list(model[0].parameters()), "weight_decay": 0.3}
    return model, optimizer([first, {"params": list(model[1].parameters()), "weight_decay": 0.0}], lr=0.01, **rates)


def train(model, optimizer, steps, watched=()):
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.01 * (step + 1)  # a schedule
        optimizer.zero_grad()
        model(torch.randn(5, 3, dtype=torch.float64)).square().sum().backward()
        for look in watched:
            look()
        optimizer.step()


@pytest.mark.parametrize("rate", [float, torch.tensor])
def test_it_is_the_sum_of_rate_times_decay_times_weights_before_each_step(rate):
    model, optimizer = two_groups()
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    expected = torch.zeros(parameters.dim, dtype=torch.float64)

    def by_hand():
        group = optimizer.param_groups[0]
        group["lr"] = rate(float(group["lr"]))
        expected[:16] -= float(group["lr"]) * 0.3 * parameters.flatten()[:16]

    with DecayPart([optimizer], parameters) as decay:
        train(model, optimizer, 4, [by_hand])
        found = decay.take()
        torch.testing.assert_close(found, expected)
        assert not found[16:].any()
        assert not decay.take().any()


def test_what_is_left_of_an_update_is_what_the_same_steps_do_without_decay():
    """One step of AdamW from equal states: with decay minus its part is without decay."""
    with_decay, optimizer = two_groups()
    without, plain = two_groups()
    plain.param_groups[0]["weight_decay"] = 0.0
    parameters = se.ParameterSubset(dict(with_decay.named_parameters()))
    before = parameters.flatten().clone()
    with DecayPart([optimizer], parameters) as decay:
        torch.manual_seed(1)
        train(with_decay, optimizer, 1)
    torch.manual_seed(1)
    train(without, plain, 1)
    after = se.ParameterSubset(dict(without.named_parameters())).flatten()
    torch.testing.assert_close(parameters.flatten() - before - decay.take(), after - before)


def test_nothing_is_added_once_it_is_closed():
    model, optimizer = two_groups()
    with DecayPart([optimizer], se.ParameterSubset(dict(model.named_parameters()))) as decay:
        pass
    train(model, optimizer, 1)
    assert not decay.take().any()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop])
def test_decay_that_is_added_to_the_gradient_is_refused_by_name(optimizer):
    model, coupled = two_groups(optimizer)
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    with pytest.raises(ValueError, match=rf"{optimizer.__name__}.*group 0 .*weight_decay = 0.3.*AdamW"):
        DecayPart([coupled], parameters)
    coupled.param_groups[0]["weight_decay"] = 0.0
    DecayPart([coupled], parameters).close()  # no decay at all is exact, too


def test_a_flag_for_decoupled_decay_is_believed():
    model, optimizer = two_groups(torch.optim.RAdam, decoupled_weight_decay=True)
    with DecayPart([optimizer], se.ParameterSubset(dict(model.named_parameters()))) as decay:
        train(model, optimizer, 1)
    assert decay.take().any()
