"""A training arm: what an optimizer asks for, without its part in a subspace, or with nothing else."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from spectral_edge.intervention.subspaces import Fixed, RunningEdge, Subspace, WeightDirection
from spectral_edge.parameters import ParameterSubset
from spectral_edge.recording.steps import outermost
from spectral_edge.spectrum import SpectralEdge

__all__ = ["Projection", "project_updates"]

# How far the length of what is taken out may be off without a word.
_ROUNDED = 0.02

Directions = SpectralEdge | Tensor | np.ndarray | Subspace | Literal["theta"]


def project_updates(
    optimizer: Optimizer,
    parameters: ParameterSubset,
    remove: Directions | None = None,
    *,
    keep: Directions | None = None,
) -> Projection:
    """From the next step on, take a subspace out of every update, or everything but a subspace.

    The optimizer steps as it likes; then θ ← θ_before + (δ - Pδ) or, with ``keep``, θ_before + Pδ, δ what it asked for
    and P the orthogonal projection. Its own state (moments) does not know. Where Pδ is zero, nothing is touched.

    Args:
        optimizer: that moves the parameters; any, also with closures. It is one that a loop calls: one that steps
            inside the backward pass is refused.
        parameters: in whose layout directions are, and whose updates change; all of them in this optimizer.
        remove: what is taken out: an edge (its first k* directions), rows (m, D), ``"theta"`` (the weights' own
            direction at each step), :class:`RunningEdge`, or a :class:`Subspace` of your own.
        keep: in its place, what alone is left.

    Returns:
        The projection: a context manager that ends it, with ``.removed``, ``.total`` and ``.removed_share``.

    Raises:
        ValueError: both or neither of ``remove`` and ``keep``; directions that do not fit; a parameter that the
            optimizer does not hold; parameters that are sharded, or an optimizer that steps inside backward.

    Warns:
        UserWarning: the weights' number format rounds away part of what is to be taken out.

    Cost of a step: a copy of θ, and (2 m + 3) D multiply-adds. Memory: (m + 2) D numbers; for weights in a narrower
    format than float32, one more copy of θ and 2 D numbers to see what rounding leaves.

    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> optimizer = torch.optim.SGD([w], lr=1.0)
    >>> with project_updates(optimizer, ParameterSubset({"w": w}), remove=torch.tensor([[1.0, 0.0]])) as arm:
    ...     w.grad = torch.tensor([-3.0, -4.0])
    ...     _ = optimizer.step()
    >>> w.tolist(), arm.removed_share
    ([0.0, 4.0], 0.36)
    """
    if (remove is None) == (keep is None):
        raise ValueError("project_updates: give one of remove and keep")
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):  # of Accelerate, Lightning
        optimizer = inner
    if not isinstance(optimizer, Optimizer):
        raise ValueError(
            f"project_updates: {type(optimizer).__name__} is no torch.optim.Optimizer; pass the one that it wraps"
        )
    if not isinstance(parameters, ParameterSubset):
        raise ValueError(
            f"project_updates: parameters is a {type(parameters).__name__}; pass a subset: recorder.parameters, or "
            "select_parameters(model, …)"
        )
    if parameters.sharded:
        raise ValueError("project_updates: parameters are sharded over processes, and a step is projected as a whole")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = [name for name, parameter in parameters.parameters.items() if id(parameter) not in held]
    if missing:
        raise ValueError(
            f"project_updates: the optimizer does not hold {missing[0]!r}; choose parameters that it moves, and make "
            "it after the model is where it stays"
        )
    if any(getattr(parameter, "_in_backward_optimizers", None) for parameter in parameters.parameters.values()):
        raise ValueError(
            "project_updates: an optimizer steps inside the backward pass (apply_optimizer_in_backward), so no step "
            "can be projected; call optimizer.step() in the loop"
        )
    given = remove if keep is None else keep
    assert given is not None
    return Projection(optimizer, parameters, _subspace(given, parameters), keeps=keep is not None)


def _subspace(given: Directions, parameters: ParameterSubset) -> Subspace:
    if isinstance(given, str):
        if given != "theta":
            raise ValueError(f"project_updates: directions {given!r} are unknown; the one name is 'theta'")
        return WeightDirection()
    if isinstance(given, SpectralEdge):
        given.check_layout(parameters.names)
        given = given.directions(given.position)
    if not isinstance(given, (Tensor, np.ndarray)):
        if not callable(getattr(given, "directions", None)):
            raise ValueError(
                f"project_updates: directions are a {type(given).__name__}; pass an edge, an array (m, D), 'theta', or "
                "a subspace such as RunningEdge"
            )
        if isinstance(given, RunningEdge) and given.names != parameters.names:
            raise ValueError(
                f"project_updates: the running edge is of other parameters ({', '.join(given.names[:4])}, …) than "
                f"these ({', '.join(parameters.names[:4])}, …); make it with the same"
            )
        return given
    rows = torch.as_tensor(given).detach()
    rows = rows[None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.shape[1] != parameters.dim:
        raise ValueError(
            f"project_updates: directions have shape {tuple(rows.shape)}; these parameters need (m, {parameters.dim})"
        )
    first = next(iter(parameters.parameters.values()))
    return Fixed(rows.to(first.device, torch.promote_types(first.dtype, torch.float32)))


class Projection:
    """An ongoing projection of updates; made by :func:`project_updates`.

    Attributes:
        steps: of the optimizer, seen.
        removed: Σ over steps of the squared length of what was taken out.
        total: Σ over steps of the squared length of what the optimizer asked for.
    """

    def __init__(self, optimizer: Optimizer, parameters: ParameterSubset, subspace: Subspace, *, keeps: bool) -> None:
        self._parameters, self._subspace, self._keeps = parameters, subspace, keeps
        self._before: Tensor | None = None
        self._said = False
        self.steps, self.removed, self.total = 0, 0.0, 0.0
        first, last = (optimizer.register_step_pre_hook(self._begin), optimizer.register_step_post_hook(self._end))
        self._hooks = [first, last]
        # Before every other hook, so that a recorder sees what was done and not what was asked for.
        cast("OrderedDict[int, Any]", optimizer._optimizer_step_post_hooks).move_to_end(last.id, last=False)

    @property
    def removed_share(self) -> float:
        """Share of the squared lengths of updates that was taken out; 0 before the first."""
        return self.removed / self.total if self.total else 0.0

    @torch.no_grad()
    def _begin(self, optimizer: Optimizer, *_: Any) -> None:
        if outermost(optimizer):
            self._before = self._parameters.flatten()

    @torch.no_grad()
    def _end(self, optimizer: Optimizer, *_: Any) -> None:
        if not outermost(optimizer):
            return
        before, self._before = self._before, None
        if before is None:  # made inside a step
            return
        wide = torch.promote_types(before.dtype, torch.float32)
        asked = self._parameters.flatten().to(wide) - before.to(wide)
        self.steps += 1
        size = _square(asked)
        if not math.isfinite(size):  # one entry would spoil all the others
            return
        self.total += size
        rows = self._subspace.directions(before)
        if rows is not None:
            rows = rows.to(asked)
            inside = (rows @ asked) @ rows
            out = asked - inside if self._keeps else inside
            self._take_out(out)
            self.removed += self._taken(before, asked, out)
        self._subspace.saw(asked, self.steps)

    def _take_out(self, out: Tensor) -> None:
        """θ minus ``out``; bitwise as it was where nothing is taken out."""
        if not out.any():
            return
        for name, piece in self._parameters.unflatten(out).items():
            self._parameters.parameters[name].sub_(piece)

    def _taken(self, before: Tensor, asked: Tensor, out: Tensor) -> float:
        """Squared length of what was taken out: in a narrow number format, what rounding has left of ``out``."""
        meant = _square(out)
        if all(parameter.dtype == out.dtype for parameter in self._parameters.parameters.values()):
            return meant
        done = _square(asked - (self._parameters.flatten().to(out) - before.to(out)))
        if abs(done**0.5 - meant**0.5) > _ROUNDED * meant**0.5 and not self._said:
            self._said = True
            warnings.warn(
                "project_updates: the weights' number format rounds what is taken out of an update: of length "
                f"{done**0.5:.3g} in place of {meant**0.5:.3g} at its step {self.steps}. removed_share counts what was "
                "taken out; for all of it, train in float32",
                stacklevel=2,
            )
        return done

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise, to be saved with the training state."""
        own = {"sums": torch.tensor([self.removed, self.total], dtype=torch.float64), "steps": torch.tensor(self.steps)}
        return own | {f"subspace.{name}": value for name, value in self._subspace.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`state_dict`.

        Raises:
            ValueError: an entry is missing or of another shape; nothing is changed then.
        """
        if "sums" not in state or state["sums"].shape != (2,) or "steps" not in state:
            raise ValueError("Projection.load_state_dict: the state is of something else")
        inner = {n.removeprefix("subspace."): value for n, value in state.items() if n.startswith("subspace.")}
        self._subspace.load_state_dict(inner)
        self.removed, self.total = state["sums"].tolist()
        self.steps = int(state["steps"])

    def close(self) -> None:
        """Let updates be as the optimizer asks for them again."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> Projection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        what = "kept alone" if self._keeps else "removed"
        return (
            f"Projection({type(self._subspace).__name__} {what}, steps={self.steps}, "
            f"removed_share={self.removed_share:.3g})"
        )


def _square(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64)) ** 2
