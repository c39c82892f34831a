"""The inner product in which an adaptive optimizer takes steepest descent: its second moments."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

from spectral_edge.parameters import ParameterSubset

__all__ = ["optimizer_metric"]


def optimizer_metric(optimizer: Optimizer, parameters: ParameterSubset) -> Tensor:
    """√v̂ + ε of each parameter, (D,): a step of Adam is -η m̂ / (√v̂ + ε), the steepest descent in this metric.

    Give it to :meth:`SpectralEdge.in_metric <spectral_edge.spectrum.SpectralEdge.in_metric>`. It is of now: read it
    where the window ends.

    Args:
        optimizer: Adam, AdamW or another whose state has ``exp_avg_sq`` and ``step``; with AMSGrad v̂ is the largest
            that it has seen.
        parameters: in the layout of whose vector the result is; all of them held by the optimizer.

    Raises:
        ValueError: the optimizer has no second moments of a parameter; names it.

    >>> import torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> optimizer = torch.optim.Adam(layer.parameters(), eps=0.5)
    >>> layer.weight.grad = torch.tensor([[3.0, -4.0]])
    >>> _ = optimizer.step()  # after one step v̂ is the squared gradient
    >>> optimizer_metric(optimizer, ParameterSubset(dict(layer.named_parameters())))
    tensor([3.5000, 4.5000])
    """
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    found = {}
    for name, parameter in parameters.parameters.items():
        state, group = optimizer.state.get(parameter, {}), groups.get(id(parameter), {})
        betas = group.get("betas")
        if "exp_avg_sq" not in state or "step" not in state or betas is None or len(betas) != 2:
            raise ValueError(
                f"optimizer_metric: {type(optimizer).__name__} has no second moments of {name!r}. They come with the "
                "first step of Adam or AdamW; an optimizer with one step size for all has the ordinary metric"
            )
        square = state.get("max_exp_avg_sq", state["exp_avg_sq"]).detach()
        found[name] = (square / (1 - betas[1] ** float(state["step"]))).sqrt() + group["eps"]
    return parameters.flatten(found)
