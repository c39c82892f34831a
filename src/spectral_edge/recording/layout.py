"""Notice when the parameters that are recorded are no longer those that the optimizers move."""

from __future__ import annotations

import logging

from torch import nn
from torch.optim import Optimizer

from spectral_edge.parameters import ParameterSubset, Selector, select_parameters

__all__ = ["LayoutGuard"]

logger = logging.getLogger("spectral_edge")


class LayoutGuard:
    """Compares names, shapes, devices and optimizer membership with those at the start.

    Args:
        model: where new parameters would be found.
        subset: recorded parameters.
        values: these, or their masters.
        optimizers: what moves them.
        selector: how they were selected.
    """

    def __init__(
        self,
        model: nn.Module,
        subset: ParameterSubset,
        values: ParameterSubset,
        optimizers: list[Optimizer],
        selector: Selector | ParameterSubset,
    ) -> None:
        self._model = model
        self._selector = selector
        self._optimizers = optimizers
        self._watched = [
            (name, parameter, values.parameters[name], parameter.shape, values.parameters[name].device)
            for name, parameter in subset.parameters.items()
        ]
        self._ids = self._optimized()

    def _optimized(self) -> list[int]:
        groups = [group["params"] for optimizer in self._optimizers for group in optimizer.param_groups]
        return [identity for parameters in groups for identity in map(id, parameters)]

    def check(self) -> None:
        """Compare; about a microsecond a parameter.

        Raises:
            ValueError: a recorded parameter was resized, moved, replaced or taken from its optimizer.
        """
        for name, parameter, value, shape, device in self._watched:
            if value.shape != shape or parameter.shape != shape:
                raise ValueError(
                    f"parameter {name!r} was resized from {tuple(shape)} to {tuple(parameter.shape)}; close this "
                    "recorder and watch again"
                )
            if value.device != device:
                raise ValueError(
                    f"parameter {name!r} was moved from {device} to {value.device}; move the model before you watch it"
                )
        now = self._optimized()
        if now != self._ids:
            self._compare(set(now), set(self._ids))
            self._ids = now

    def _compare(self, now: set[int], before: set[int]) -> None:
        for name, parameter, value, *_ in self._watched:
            if id(parameter) not in now and id(value) not in now:
                raise ValueError(
                    f"parameter {name!r} is no longer in any watched optimizer: it was removed, replaced or frozen; "
                    "close this recorder and watch again"
                )
        if now - before:
            self._report_new(now - before)

    def _report_new(self, new: set[int]) -> None:
        if isinstance(self._selector, ParameterSubset):
            return
        selected = select_parameters(self._model, self._selector)
        names = [name for name, parameter in selected.parameters.items() if id(parameter) in new]
        if names:
            logger.warning(
                "spectral-edge: the optimizer now also moves %s, which the selection matches; they are not recorded. "
                "Close this recorder and watch again to record them.",
                ", ".join(names[:6]),
            )
