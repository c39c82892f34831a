"""A block that a model reaches on two paths is one block: differentiated through both, and left in place."""

import copy

import pytest
import torch
from torch import Tensor, nn

import spectral_edge as se

INPUTS = torch.randn(7, 4, generator=torch.Generator().manual_seed(1)).double()


class Looped(nn.Module):
    """One block, used twice under two names, and a head that has the block's weight for its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        block = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.layers = nn.ModuleList([block, block])
        self.head = nn.Linear(4, 4)
        self.head.weight = block[0].weight
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def response(model: nn.Module, direction: Tensor, step: float = 1e-5) -> Tensor:
    """By central differences in float64, on a copy whose weights are moved by hand."""
    parameters = se.select_parameters(model, ".")

    def at(share):
        moved = copy.deepcopy(model)
        named = dict(moved.named_parameters())
        with torch.no_grad():
            for name, change in parameters.unflatten(share * direction).items():
                named[name].add_(change)
            return moved(INPUTS)

    return (at(step) - at(-step)) / (2 * step)


def test_the_derivative_goes_through_every_use_of_a_block():
    model = Looped()
    direction = torch.randn(1, se.select_parameters(model, ".").dim).double()
    modes = se.functional_modes(model, direction, INPUTS, parameters=".")
    assert modes.method == "jvp"
    torch.testing.assert_close(modes.response[0], response(model, direction[0]), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("times", [1, 2])
def test_training_goes_on_as_if_nobody_had_looked(times):
    looked, alone = Looped(), Looped()
    parameters = list(looked.parameters())
    direction = torch.randn(1, se.select_parameters(looked, ".").dim).double()
    for _ in range(times):
        se.functional_modes(looked, direction, INPUTS, parameters=".")
        se.compare(looked, direction, INPUTS, lambda h: float(h.square().sum()), parameters=".", draws=3, quiet=True)
    assert all(now is before for now, before in zip(looked.parameters(), parameters, strict=True))
    for model in (looked, alone):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(INPUTS).square().mean().backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(looked.parameters(), alone.parameters(), strict=True))
