"""Inputs of a model: one tensor, or named tensors such as a tokenizer gives; batched along the first axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Forward", "Inputs", "as_rows", "default_forward", "input_batches", "input_count", "inputs_on"]

Inputs = Tensor | Mapping[str, Tensor]
Forward = Callable[[nn.Module, Any], Tensor]
"""``forward(model, batch)`` gives the representation h, (n, …), of a batch of n inputs."""


def inputs_on(device: torch.device, inputs: Inputs | np.ndarray) -> Inputs:
    """Return the inputs as tensors on ``device``, checked.

    Raises:
        ValueError: there are none, a mapping is empty, or its tensors differ in their first axis.

    >>> inputs_on(torch.device("cpu"), {"ids": torch.ones(2, 5), "mask": torch.ones(3, 5)})
    Traceback (most recent call last):
    ValueError: inputs: the tensors have different lengths: 'ids' 2, 'mask' 3; the first axis counts inputs
    """
    if not isinstance(inputs, Mapping):
        tensor = torch.as_tensor(inputs).to(device)
        if tensor.ndim == 0 or len(tensor) == 0:
            raise ValueError(f"inputs: the tensor has shape {tuple(tensor.shape)}: there are no inputs")
        return tensor
    named = {name: torch.as_tensor(values).to(device) for name, values in inputs.items()}
    lengths = {name: len(values) if values.ndim else 0 for name, values in named.items()}
    if not named or not any(lengths.values()):
        raise ValueError(f"inputs: there are no inputs: {lengths}")
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise ValueError(f"inputs: the tensors have different lengths: {shown}; the first axis counts inputs")
    return named


def input_count(inputs: Inputs) -> int:
    """N, the length of the first axis."""
    return len(next(iter(inputs.values()))) if isinstance(inputs, Mapping) else len(inputs)


def input_batches(inputs: Inputs, size: int) -> Iterator[Inputs]:
    """Cut the inputs into batches of at most ``size``.

    >>> [len(batch["ids"]) for batch in input_batches({"ids": torch.ones(5, 2)}, 2)]
    [2, 2, 1]
    """
    for start in range(0, input_count(inputs), size):
        part = slice(start, start + size)
        yield {name: v[part] for name, v in inputs.items()} if isinstance(inputs, Mapping) else inputs[part]


def as_rows(representation: Tensor, inputs: Inputs) -> Tensor:
    """h of n inputs as (n, d), whatever its shape; one number an input is d = 1.

    Raises:
        ValueError: it is not one row an input, or not of real numbers.
    """
    n = input_count(inputs)
    shape = tuple(representation.shape) if isinstance(representation, Tensor) else type(representation).__name__
    if not isinstance(representation, Tensor) or representation.ndim == 0 or len(representation) != n:
        raise ValueError(f"forward gives {shape} for a batch of {n} inputs; it must give a tensor ({n}, …)")
    if not representation.is_floating_point():
        raise ValueError(f"forward gives {representation.dtype}; it must give real numbers, such as logits")
    return representation.reshape(n, -1)


def default_forward(model: nn.Module, inputs: Inputs) -> Tensor:
    """Read what a model gives if no ``forward`` is named.

    A ``ModularTransformer`` is called on the two columns of its pairs and gives the residual stream before the final
    norm (paper, section 1). Any other model gives its output, or the ``logits`` of its output.

    Raises:
        ValueError: the output is no tensor and has no ``logits``.
    """
    if hasattr(model, "residual_jvp") and isinstance(inputs, Tensor):
        return model(inputs[:, 0], inputs[:, 1], return_residual=True)[1]
    output = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise ValueError(
            f"{type(model).__name__} returns a {type(output).__name__}, not a tensor; say what to read of it: "
            "forward=lambda model, batch: model(**batch).last_hidden_state"
        )
    return output
