"""A comparison leaves the model and the process as it found them, whatever comes in between."""

import pytest
import torch

import spectral_edge as se
from spectral_edge.modes import difference_quotient as room
from support.linear_models import DIM, INS, OUTS, gaussian

INPUTS = gaussian(20, INS, seed=4)


def energy(h):
    return float(h.square().sum())


def test_a_buffer_that_a_forward_pass_changes_is_put_back():
    class Counting(torch.nn.Linear):
        def __init__(self):
            super().__init__(INS, OUTS, bias=False)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    model = Counting()
    weights = se.select_parameters(model, "weight")
    with pytest.warns(UserWarning, match="in-place"):
        se.compare(model, gaussian(1, DIM), INPUTS, energy, parameters=weights, nulls="isotropic", draws=5)
    assert model.calls.tolist() == [0]


def test_eval_mode_ends_where_it_is_interrupted():
    class Interrupting(torch.nn.Linear):
        def train(self, mode=True):
            super().train(mode)
            if not mode:
                raise KeyboardInterrupt
            return self

    model = torch.nn.Sequential(Interrupting(INS, OUTS, bias=False))
    weights = se.select_parameters(model, "weight")
    with pytest.raises(KeyboardInterrupt):
        se.compare(model, gaussian(1, DIM), INPUTS, energy, parameters=weights, nulls="isotropic")
    assert model.training
    assert model[0].training


def test_a_buffer_that_is_replaced_is_put_back_and_a_backward_pass_still_works():
    class Scaled(torch.nn.Linear):
        def __init__(self):
            super().__init__(INS, OUTS, bias=False)
            self.register_buffer("scale", torch.ones(1))

        def forward(self, x):
            self.calls = getattr(self, "calls", torch.zeros(1)) + 1
            return super().forward(x * self.scale)

    model = Scaled()
    model.register_buffer("calls", torch.zeros(1))
    loss = model(INPUTS).square().sum()
    calls = model.calls
    weights = se.select_parameters(model, "weight")
    se.compare(model, gaussian(1, DIM), INPUTS, energy, parameters=weights, nulls="isotropic", draws=5)
    assert model.calls is calls
    loss.backward()


def test_threads_leave_the_model_and_attention_as_they_were():
    model = se.ModularTransformer(p=11, d_model=16, n_heads=2, d_mlp=16).train()
    pairs = torch.cartesian_prod(torch.arange(11), torch.arange(11))
    weights = se.attention_weights(model)
    one, many = (
        se.compare(model, gaussian(1, weights.dim), pairs, energy, nulls="isotropic", draws=40, threads=threads)
        for threads in (1, 4)
    )
    assert one.rows[0].values.tolist() == many.rows[0].values.tolist()
    assert all(module.training for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()


def test_weights_are_put_back_though_it_is_interrupted_meanwhile(monkeypatch):
    model = torch.nn.Sequential(torch.nn.Linear(INS, OUTS), torch.nn.Linear(OUTS, OUTS))
    weights = se.select_parameters(model, "weight")
    before = weights.flatten().clone()
    calls, reshard = [], room.reshard

    def interrupted_once(model):
        calls.append(1)
        if len(calls) == 4:  # the second of a pair: while weights are put back
            raise KeyboardInterrupt
        return reshard(model)

    monkeypatch.setattr(room, "reshard", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        se.functional_modes(model, gaussian(3, weights.dim), INPUTS, parameters=weights, method="finite_difference")
    assert torch.equal(weights.flatten(), before)
