"""Notice when the parameters that are recorded are no longer those that the optimizers move."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spectral_edge.parameters import ParameterSubset, Selector, adapters_of, select_parameters, unwrap_model

__all__ = ["LayoutGuard", "master_of"]

logger = logging.getLogger("spectral_edge")


class LayoutGuard:
    """Compares names, shapes, devices, types and optimizer membership with those at the start.

    Args:
        model: where new parameters would be found.
        subset: recorded parameters.
        values: these, or their masters.
        optimizers: what moves them.
        selector: how they were selected.
        given: names of the parameters whose masters the user gave.
        adapters: whether the parameters are the factors of adapters, which must stay as they are.
    """

    def __init__(
        self,
        model: nn.Module,
        subset: ParameterSubset,
        values: ParameterSubset,
        optimizers: list[Optimizer],
        selector: Selector | ParameterSubset,
        given: Collection[str],
        adapters: bool = False,
    ) -> None:
        self._model = model
        self._selector = selector
        self._optimizers = optimizers
        self._parameters = subset.parameters
        self._watched = [
            (name, parameter, values.parameters[name], parameter.shape, *_kind(values.parameters[name]))
            for name, parameter in subset.parameters.items()
        ]
        self._ids = self._optimized()
        self._adapters = [(a.name, a.scale) for a in adapters_of(model)] if adapters else []
        self._low = [
            (name, parameter)
            for name, parameter in subset.parameters.items()
            if parameter.dtype in (torch.bfloat16, torch.float16) and name not in given
        ]
        # A sharded model has other tensors under these names while they are gathered.
        self._places = {} if subset.sharded else dict(_owners(unwrap_model(model), subset))

    def _optimized(self) -> list[int]:
        groups = [group["params"] for optimizer in self._optimizers for group in optimizer.param_groups]
        return [identity for parameters in groups for identity in map(id, parameters)]

    def check(self) -> None:
        """Compare; about a microsecond a parameter, and a walk over the modules where adapters are recorded.

        Raises:
            ValueError: a recorded parameter was resized, moved, converted, replaced or taken from its optimizer, or an
                adapter was merged, rescaled, exchanged or removed.
        """
        if self._adapters and [(a.name, a.scale) for a in adapters_of(self._model)] != self._adapters:
            raise ValueError("the model has other adapters now, or other scales; close this recorder and watch again")
        for name, parameter, value, shape, device, dtype in self._watched:
            if value.shape != shape or parameter.shape != shape:
                raise ValueError(
                    f"parameter {name!r} was resized from {tuple(shape)} to {tuple(parameter.shape)}; close this "
                    "recorder and watch again"
                )
            if value.device != device:
                raise ValueError(
                    f"parameter {name!r} was moved from {device} to {value.device}; move the model before you watch it"
                )
            if value.dtype != dtype:
                raise ValueError(
                    f"parameter {name!r} was converted from {dtype} to {value.dtype}, which moves it by its rounding; "
                    "convert the model before you watch it"
                )
        for name, (owner, leaf) in self._places.items():
            if owner._parameters.get(leaf) is not self._parameters[name]:
                raise ValueError(
                    f"parameter {name!r} of the model is another tensor now (load_state_dict(assign=True), a new "
                    "adapter): close this recorder and watch again"
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

    def new_masters(self, values: ParameterSubset) -> ParameterSubset | None:
        """Where the optimizers keep float32 masters now, if that is not where ``values`` has them; else ``None``.

        Many optimizers make their masters at the first step, and others when their state is loaded.
        """
        found = {name: master_of(parameter, self._optimizers) for name, parameter in self._low}
        if all(values.parameters[name] is master for name, master in found.items()):
            return None
        self._watched = [(n, p, found.get(n, v), p.shape, *_kind(found.get(n, v))) for n, p, v, *_ in self._watched]
        return ParameterSubset({**values.parameters, **found})

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


def _kind(value: Tensor) -> tuple[torch.device, torch.dtype]:
    return value.device, value.dtype


def master_of(parameter: Tensor, optimizers: list[Optimizer]) -> Tensor:
    """The float32 copy that an optimizer updates in place of a parameter in a shorter format, or the parameter."""
    if parameter.dtype not in (torch.bfloat16, torch.float16):
        return parameter
    kept = [getattr(parameter, "main_param", None)]
    for optimizer in optimizers:
        state = optimizer.state.get(parameter, {})
        kept += [value for name, value in state.items() if "master" in str(name)]
    for master in kept:
        if isinstance(master, Tensor) and master.shape == parameter.shape and master.dtype == torch.float32:
            return master
    return parameter


def _owners(model: nn.Module, subset: ParameterSubset) -> Iterator[tuple[str, tuple[nn.Module, str]]]:
    """The module that holds each parameter, and its name there; parameters that are not in the model are left out."""
    for name, parameter in subset.parameters.items():
        path, _, leaf = name.rpartition(".")
        try:
            owner = model.get_submodule(path)
        except AttributeError:
            continue
        if owner._parameters.get(leaf) is parameter:
            yield name, (owner, leaf)
