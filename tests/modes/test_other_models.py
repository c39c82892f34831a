"""Responses of models that are more than their forward: hooks, random numbers, padding, casts, mixed types."""

import copy

import pytest
import torch
from torch import nn

import spectral_edge as se
from spectral_edge.modes import responder

INPUTS = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


def read(model, x):
    return model(x)


def layer(cls=nn.Linear):
    torch.manual_seed(0)
    return cls(4, 3, bias=False)


def response(model, v, method="jvp", **settings):
    return se.functional_modes(model, v, INPUTS, parameters="weight", forward=read, method=method, **settings)


def transformer():
    torch.manual_seed(0)
    return se.ModularTransformer(11, d_model=16, n_heads=2, d_mlp=16)


def doubled(module, inputs, output):
    return 2 * output


class Twice(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Doubled(se.ModularTransformer):
    def forward(self, a, b, return_residual=False):
        logits, residual = super().forward(a, b, return_residual=True)
        return (logits, 2 * residual) if return_residual else logits


@pytest.mark.parametrize("change", ["hook", "module", "subclass", "none"])
def test_the_model_s_own_derivative_is_used_only_where_it_is_that_of_its_forward(change):
    model = Doubled(11, d_model=16, n_heads=2, d_mlp=16) if change == "subclass" else transformer()
    if change == "hook":
        model.encoder.layers[0].linear2.register_forward_hook(doubled)
    if change == "module":
        model.encoder.layers[0].linear2 = Twice(16, 16)
    pairs = torch.cartesian_prod(torch.arange(11), torch.arange(11))
    v = se.random_directions(1, se.attention_weights(model).dim, seed=0)
    exact = se.functional_modes(model, v, pairs)
    quotient = se.functional_modes(model, v, pairs, method="central_difference", relative_epsilon=1e-3)
    assert exact.method == "jvp"
    assert float(se.discrepancy(quotient, exact)) < 0.01


def test_inside_autocast_the_moved_weights_are_used_and_do_not_stay():
    model, v = layer(), torch.eye(12)[:1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = model(INPUTS)
        found = response(model, v, "central_difference", relative_epsilon=0.2)
        assert torch.equal(model(INPUTS), before)
    expected = torch.zeros(6, 3)
    expected[:, 0] = INPUTS[:, 0]
    torch.testing.assert_close(found.response[0].float(), expected, atol=0.05, rtol=0.05)


def test_a_model_that_draws_random_numbers_draws_the_same_ones_on_both_sides():
    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) + torch.randn(len(x), 3)

    noisy, v = layer(Noisy), torch.eye(12)[:1]
    with pytest.warns(UserWarning, match="forward mode"):
        found = response(noisy, v)
    torch.testing.assert_close(found.response, response(layer(), v).response, atol=1e-3, rtol=1e-3)


def test_outputs_that_are_no_number_move_as_little_as_their_derivative():
    class Masked(nn.Linear):
        def forward(self, x):
            return super().forward(x).masked_fill(x[:, :1] > 0, torch.nan)

    model, v = layer(Masked), torch.ones(1, 12)
    exact, quotient = response(model, v), response(model, v, "central_difference")
    torch.testing.assert_close(quotient.response, exact.response, atol=1e-3, rtol=1e-3)
    assert (exact.response[0, INPUTS[:, 0] > 0] == 0).all()


def test_a_model_that_overflows_everywhere_is_not_called_unmoved():
    class Overflowing(nn.Linear):
        def forward(self, x):
            return super().forward(x) * torch.nan

    found = response(layer(Overflowing), torch.ones(1, 12), "central_difference").response
    assert found.isnan().all()


def test_outputs_masked_by_an_infinity_do_not_move():
    class Masked(nn.Linear):
        def forward(self, x):
            return super().forward(x).masked_fill(x[:, :1] > 0, -torch.inf)

    found = response(layer(Masked), torch.ones(1, 12), "central_difference").response[0]
    assert (found[INPUTS[:, 0] > 0] == 0).all()
    assert found.isfinite().all()


def test_a_tensor_left_in_an_attribute_or_an_empty_buffer_is_put_back():
    class Leaving(nn.Linear):
        def __init__(self, *sizes, **settings):
            super().__init__(*sizes, **settings)
            self.seen = None
            self.register_buffer("state", None)

        def forward(self, x):
            out = super().forward(x)
            self.seen, self.state, self.fresh = out.detach(), out.detach(), out.detach()
            return out

    model = layer(Leaving)
    response(model, torch.ones(1, 12))
    assert model.seen is None
    assert not hasattr(model, "fresh")
    assert list(model.state_dict()) == ["weight"]
    copy.deepcopy(model)


@pytest.mark.parametrize("method", ["jvp", "central_difference"])
def test_what_a_forward_makes_once_goes_back_with_what_tells_of_it(method):
    class Lazy(nn.Linear):
        def __init__(self, *sizes, **settings):
            super().__init__(*sizes, **settings)
            self.length, self.table, self.names, self.calls = 0, torch.empty(0), None, 0

        def forward(self, x):
            self.calls += 1
            if len(x) > self.length:
                self.length, self.table = len(x), torch.arange(1.0, len(x) + 1)
                self.register_buffer("cosines", self.table.cos())
            if not getattr(self, "ready", False):
                self.scale, self.ready = 2 * torch.ones(1), True
            return super().forward(x) * self.scale * self.table[: len(x), None] + self.cosines[: len(x), None]

    model = layer(Lazy)
    before = {**vars(model)}
    response(model, torch.ones(1, 12), method)
    assert vars(model).keys() == before.keys()
    assert (model.length, model.calls, len(model.table), list(model.buffers())) == (0, 0, 0, [])
    model(INPUTS)
    response(model, torch.ones(1, 12), method)
    assert (model.length, len(model.table), len(model.cosines)) == (6, 6, 6)
    model(INPUTS)
    copy.deepcopy(model)


def test_a_module_that_merges_in_eval_mode_is_taken_apart_again():
    class Merging(nn.Linear):
        merged = False

        def train(self, mode=True):
            super().train(mode)
            if self.merged == mode:
                self.weight.data += -1.0 if mode else 1.0
                self.merged = not mode
            return self

    model = nn.Sequential(layer(Merging))
    before = model[0].weight.detach().clone()
    for whole in (True, False):
        for own in (True, False):
            model.training = whole
            model[0].train(own)
            response(model, torch.ones(1, 12))
            assert (model.training, model[0].training, model[0].merged) == (whole, own, not own)
    torch.testing.assert_close(model[0].train().weight, before)


def test_a_direction_keeps_the_precision_of_the_widest_parameter():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.narrow, self.wide = nn.Linear(4, 4, bias=False).half(), nn.Linear(4, 3, bias=False)

        def forward(self, x):
            return self.wide(self.narrow(x.half()).float())

    model, v = Mixed(), torch.zeros(1, 28)
    v[0, 16:] = 1e-8 * torch.randn(12)  # below what half precision holds
    found = se.functional_modes(model, v, INPUTS, parameters=".", forward=read).response[0]
    expected = model.narrow(INPUTS.half()).float() @ v[0, 16:].view(3, 4).T
    torch.testing.assert_close(found, expected, atol=0, rtol=1e-5)


def test_a_sparse_buffer_is_no_obstacle():
    class Graph(nn.Linear):
        def __init__(self, *sizes, **settings):
            super().__init__(*sizes, **settings)
            self.register_buffer("adjacency", torch.eye(6).to_sparse())

        def forward(self, x):
            return super().forward(torch.sparse.mm(self.adjacency, x))

    v = torch.ones(1, 12)
    found = response(layer(Graph), v, "central_difference").response
    torch.testing.assert_close(found, response(layer(), v).response, atol=1e-3, rtol=1e-3)


def test_hooks_that_make_embeddings_require_gradients_are_off_for_the_while_and_in_their_order_after():
    """As Transformers leaves them after gradient_checkpointing_enable()."""
    model, others = nn.Sequential(layer()), [lambda *_: None, lambda *_: None]
    model[0].register_forward_hook(others[0])
    handle = model[0].register_forward_hook(lambda module, inputs, output: output.requires_grad_(True))
    model[0].register_forward_hook(others[1])
    model._require_grads_hooks = [handle]
    before = list(model[0]._forward_hooks.items())
    assert response(model, torch.ones(1, 12)).method == "jvp"
    assert list(model[0]._forward_hooks.items()) == before


def test_an_interrupted_derivative_leaves_the_model_s_own_parameters(monkeypatch):
    model = layer()
    own = model.weight

    def swap_and_stop(*arguments, **settings):
        model._parameters["weight"] = nn.Parameter(torch.zeros(3, 4))
        raise KeyboardInterrupt

    ready = responder.responder_of(model, INPUTS, parameters="weight", forward=read)
    monkeypatch.setattr("spectral_edge.modes.derivative.functional_call", swap_and_stop)
    with pytest.raises(KeyboardInterrupt):
        ready(torch.ones(1, 12))
    assert model.weight is own


def test_what_cannot_be_meant_is_named():
    model, v = layer(), torch.ones(1, 12)
    with pytest.raises(ValueError, match="positive and finite"):
        response(model, v, "central_difference", relative_epsilon=float("inf"))
    with pytest.raises(ValueError, match="no regex and no predicate"):
        se.select_parameters(model, ["weight"])
    with pytest.raises(ValueError, match="not the same ones"):
        se.discrepancy(response(model, torch.eye(12)[:2]), response(model, v))
    model.codes = nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match=r"'codes' is torch\.int8"):
        se.select_parameters(model, ".")
