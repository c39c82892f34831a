"""A linear layer: the response to a direction V is V x, so what compare should find is known in closed form."""

import torch
from torch import Tensor, nn

from spectral_edge import ParameterSubset

INS, OUTS = 6, 4
DIM = INS * OUTS


def linear_model(seed: int = 0) -> tuple[nn.Linear, ParameterSubset]:
    layer = nn.Linear(INS, OUTS, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(OUTS, INS, generator=torch.Generator().manual_seed(seed)))
    return layer, ParameterSubset(dict(layer.named_parameters()))


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(row: Tensor) -> Tensor:
    return row / row.norm()


def response(direction: Tensor, inputs: Tensor) -> Tensor:
    return inputs @ direction.reshape(OUTS, INS).T
