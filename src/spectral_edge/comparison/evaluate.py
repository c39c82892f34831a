"""Statistics of given directions, without a null."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spectral_edge.comparison.measurement import Measurement
from spectral_edge.comparison.progress import Progress
from spectral_edge.comparison.space import DirectionSpace
from spectral_edge.comparison.statistic import named_statistics
from spectral_edge.modes import Forward, Inputs, Method, left_as_found, responder_of
from spectral_edge.parameters import ParameterSubset, Selector

__all__ = ["evaluate"]


def evaluate(
    model: nn.Module,
    directions: Tensor | NDArray[Any],
    inputs: Inputs | NDArray[Any],
    statistics: Any,
    *,
    parameters: ParameterSubset | Selector | None = None,
    forward: Forward | None = None,
    method: Method = "jvp",
    relative_epsilon: float = 0.005,
    batch_size: int | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Compute statistics of directions: what ``compare`` calls measured, for any method of computing responses.

    Args:
        model, inputs, statistics, parameters, forward, batch_size: as for ``compare``.
        directions: (k, D), used as they are.
        method, relative_epsilon: as for ``functional_modes``.

    Returns:
        By name of the statistic: (k,) values, one of a statistic of a set.

    Raises:
        ValueError: as ``compare``.

    Cost: k responses; memory k N d floats.
    """
    with left_as_found(model):
        respond = responder_of(
            model,
            inputs,
            parameters=parameters,
            method=method,
            relative_epsilon=relative_epsilon,
            forward=forward,
            batch_size=batch_size,
        )
        with respond.reading():
            measurement = Measurement.of(
                respond,
                DirectionSpace(respond.parameters),
                respond.checked(directions),
                named_statistics(statistics),
                keep={},
                draws=0,
                seed=0,
                threads=1,
                progress=Progress(),
            )
    found: dict[str, list[float]] = {}
    for (name, _), value in measurement.measured.items():
        found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}
