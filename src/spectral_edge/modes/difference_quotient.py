"""Responses as difference quotients, parameters moved in place: for models without a forward-mode derivative."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spectral_edge.modes.finishing import finish
from spectral_edge.modes.inputs import Forward, Inputs, as_rows, input_batches
from spectral_edge.modes.left_as_found import same_random_numbers
from spectral_edge.parameters import ParameterSubset, reshard, spacing, to_local
from spectral_edge.spectrum import InnerProducts

__all__ = ["difference_quotient", "epsilon_of", "moved", "warn_if_coarse"]

# Entries whose spacing is held at once.
_PIECE = 1 << 20
# Share of a quotient's step that may be rounding.
_COARSE = 0.05


def epsilon_of(parameters: ParameterSubset, relative_epsilon: float) -> float:
    """Step of the finite difference, relative_epsilon x ||theta|| of the subset.

    Raises:
        ValueError: the step is not positive, or not finite.
    """
    flat = parameters.flatten()[None]
    epsilon = relative_epsilon * float(InnerProducts(parameters.shards if parameters.sharded else ())(flat)) ** 0.5
    if not 0 < epsilon < float("inf"):
        raise ValueError(
            f"finite difference: relative_epsilon = {relative_epsilon} times the parameter norm gives a step of "
            f"{epsilon}; it must be positive and finite"
        )
    return epsilon


def difference_quotient(
    model: nn.Module,
    parameters: ParameterSubset,
    forward: Forward,
    epsilon: float,
    central: bool,
    batch_size: int,
    directions: Tensor,
    inputs: Inputs,
) -> Tensor:
    """[h(θ + eps v) - h(θ)]/eps or, ``central``, [h(θ + eps v) - h(θ - eps v)]/2 eps, along k directions: (k, N, d)."""

    def read() -> Tensor:
        with same_random_numbers(model):  # a model that draws them draws the same ones each time
            return torch.cat([as_rows(forward(model, batch), batch) for batch in input_batches(inputs, batch_size)])

    def moved_by(step: float, direction: Tensor) -> Tensor:
        with moved(model, parameters, step * direction):
            return read()

    if central:
        pairs = [(moved_by(epsilon, v), moved_by(-epsilon, v)) for v in directions]
        return torch.stack([_difference(ahead, behind) / (2 * epsilon) for ahead, behind in pairs])
    base = read()
    return torch.stack([_difference(moved_by(epsilon, v), base) / epsilon for v in directions])


def _difference(ahead: Tensor, behind: Tensor) -> Tensor:
    """Their difference; 0 where both are the same infinity, or no number, as masked outputs are (not if all are)."""
    masked = ahead.isnan() & behind.isnan()
    still = (ahead == behind) if masked.all() else (ahead == behind) | masked
    return (ahead - behind).masked_fill_(still, 0)


def warn_if_coarse(parameters: ParameterSubset, epsilon: float) -> None:
    """Warn where a step is little more than the spacing of the number format: the quotient is then rounding.

    A direction moves an entry by eps/√D in the root mean square, and rounding is off by the spacing / √12.
    """
    held = [to_local(parameter) for parameter in parameters.parameters.values()]
    pieces = (piece for values in held for piece in values.reshape(-1).split(_PIECE))
    rounding = (sum(float(spacing(piece).square().sum()) for piece in pieces) / 12) ** 0.5
    step = epsilon * (parameters.dim / parameters.full_dim) ** 0.5
    if step and rounding > _COARSE * step:
        warnings.warn(
            f"functional_modes: a step of {epsilon:.3g} is rounded by {100 * rounding / step:.0f} % of its length in "
            "the parameters' number format, and so is the response; use a larger relative_epsilon, or a float32 copy "
            "of the model",
            stacklevel=2,
        )


@contextmanager
def moved(model: nn.Module, parameters: ParameterSubset, by: Tensor) -> Iterator[None]:
    """Parameters plus ``by`` while the block runs, in place, so that it works on shards; then exactly as before."""
    reshard(model)
    # Behind autograd's back: what was computed before can still be differentiated, as the values come back.
    held = {name: to_local(parameter).data for name, parameter in parameters.parameters.items()}
    before = {name: values.clone() for name, values in held.items()}
    try:
        for name, change in parameters.unflatten(by).items():
            held[name].add_(change)
        torch.clear_autocast_cache()  # it holds casts of the weights as they were
        yield
    finally:

        def put_back() -> None:
            reshard(model)
            for name, values in held.items():
                values.copy_(before[name])
            torch.clear_autocast_cache()

        finish(put_back)
