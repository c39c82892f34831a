"""Move a model's weights along an edge, and as far along matched controls: what changes?"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from spectral_edge.comparison import CannotDrawError, DirectionSpace
from spectral_edge.intervention.displacements import THETA, Arm, along_of, arms_of, part_of_weights
from spectral_edge.intervention.result import Intervention, Outcome
from spectral_edge.modes import check_own, finish, left_as_found, moved
from spectral_edge.parameters import ParameterSubset, Selector, select_parameters, unwrap_model
from spectral_edge.spectrum import SpectralEdge

__all__ = ["CONTROLS", "intervene"]

CONTROLS = ("isotropic", "weights", "span", "blocks", THETA)
"""Names of all controls, in the order of the table."""

Evaluate = Callable[[nn.Module], Mapping[str, float]]

# How far the length of a displacement may be off, where the format of the weights rounds it.
_ROUNDED = 0.02


def intervene(
    model: nn.Module,
    edge: SpectralEdge | Tensor | np.ndarray,
    evaluate: Evaluate,
    *,
    parameters: ParameterSubset | Selector | None = None,
    k: int | None = None,
    strengths: float | Sequence[float] = (1.0,),
    along: float | Tensor | np.ndarray | None = None,
    controls: str | Iterable[str] = CONTROLS,
    draws: int = 20,
    seed: int = 0,
) -> Intervention:
    """Remove an edge from the weights, or move along it, beside controls that move them by the same norm.

    The edge's arm at strength s is θ - s Σ_k⟨θ, v_k⟩v_k, or θ + s·``along``. Every control moves θ by a vector of the
    same norm: a number that compares an edge with a control of another size says nothing of the edge.

    * ``isotropic``: any direction. ``span``: any direction that the window moved in.
    * ``weights``: random, with the same cosine to θ as the edge's displacement: as much of it shrinks the weights.
    * ``blocks``: the displacement's own entries, permuted inside each tensor.
    * ``theta``: the weights themselves, shrunk (or stretched, where the edge's displacement does); one draw.

    Draws of a control are the same directions at every strength, so that each makes a path.

    Args:
        model: any module.
        edge: of whose directions the first ``k`` are meant; or rows (k, D), which need not be orthogonal and are
            scaled to unit length.
        evaluate: ``evaluate(model) -> {quantity: number}``, called as the model is, once for each displacement with
            the same random numbers. It must not train the model.
        parameters: what the directions live in, or a choice as for ``watch``; the attention weights if left out.
        k: number of edge directions; the edge's position k* if left out.
        strengths: s, different from each other and from 0.
        along: a length along v_1, k coefficients of the directions, or a displacement (D,); left out, θ's own part in
            their span is removed.
        controls: one name, or several. One of these five that cannot be had is left out with its reason if all are
            asked for, and refused otherwise.
        draws: of each random control.
        seed: of the draws.

    Returns:
        The outcomes: ``.table``, ``.baseline``, ``.comparison``, ``.plot()``. Interrupted from the keyboard, it has
        what was done. Weights, buffers, mode and random states are as before, bitwise, whatever happens.

    Raises:
        ValueError: directions do not fit the parameters or are not independent; θ has no part along them; a control is
            unknown or cannot be had; strengths or draws are out of range; the weights' number format rounds a
            displacement; ``evaluate`` returns no mapping of names to numbers, or other names than before. What
            ``evaluate`` raises comes through, with a note where it was.

    Cost: 1 + strengths × (1 + draws × random controls) evaluations. Memory: about eight copies of the parameters.

    >>> layer = nn.Linear(2, 1, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> subset = ParameterSubset(dict(layer.named_parameters()))
    >>> found = intervene(
    ...     layer, torch.tensor([[1.0, 0.0]]), lambda m: {"w1": m.weight[0, 0].item(), "norm": m.weight.norm().item()},
    ...     parameters=subset, controls=["theta"],
    ... )
    >>> found.outcomes[0].values["w1"], round(found.outcomes[1].values["norm"], 4)
    (0.0, 2.0)
    """
    draws, seed = operator.index(draws), operator.index(seed)
    asked = (controls,) if isinstance(controls, str) else tuple(controls)
    strengths = tuple(np.atleast_1d(np.asarray(strengths, dtype=float)).tolist())
    _check(asked, strengths, draws, seed)
    subset = select_parameters(model, "attention" if parameters is None else parameters)
    check_own(unwrap_model(model), subset)
    space = DirectionSpace(subset, edge if isinstance(edge, SpectralEdge) else None)
    rows = _rows(space, edge, k)
    displacement = -part_of_weights(space, rows) if along is None else along_of(along, rows, space)
    norm = space.inner(displacement, displacement) ** 0.5
    if norm == 0:
        raise ValueError("intervene: the weights have no part along these directions; move with along=")
    arms, left_out = arms_of(space, displacement, asked, draws, seed)
    if left_out and set(asked) != set(CONTROLS):
        name, why = next(iter(left_out.items()))
        raise ValueError(f"intervene: control {name!r} cannot be had: {why}")
    measure = _Measurement(model, space, evaluate)
    baseline = measure("as it was", None)
    outcomes, complete = _outcomes(measure, arms, strengths, norm)
    protocol = {
        "model": type(unwrap_model(model)).__name__,
        "parameters": list(subset.names),
        "dim": subset.full_dim,
        "directions": len(rows),
        "along": along is not None,
        "window": None if space.edge is None else len(space.edge.singular_values),
        "centered": None if space.edge is None else space.edge.centered,
        "position": None if space.edge is None else space.edge.position,
        "strengths": list(strengths),
        "draws": draws,
        "seed": seed,
    }
    return Intervention(tuple(outcomes), baseline, norm, _share(norm, space), protocol, left_out, complete)


class _Measurement:
    """Calls ``evaluate`` on displaced weights, with the same random numbers each time."""

    def __init__(self, model: nn.Module, space: DirectionSpace, evaluate: Evaluate) -> None:
        self._model, self._space, self._parameters, self._evaluate = model, space, space.parameters, evaluate
        self._theta = self._parameters.flatten()
        self._names: tuple[str, ...] | None = None

    def __call__(self, where: str, by: Tensor | None) -> dict[str, float]:
        modes = [(module, module.training) for module in self._model.modules()]
        held = next(iter(self._parameters.parameters.values()))
        change = torch.zeros(self._parameters.dim) if by is None else by
        with left_as_found(self._model), moved(self._model, self._parameters, change.to(held.device)):
            if by is not None:
                self._check_moved(by, where)
            try:
                found = self._evaluate(self._model)
            except Exception as problem:
                problem.add_note(f"intervene: raised by evaluate with the weights {where}")
                raise
            finally:

                def put_back() -> None:
                    for module, training in modes:
                        module.training = training

                finish(put_back)
        return self._checked(found, where)

    def _check_moved(self, by: Tensor, where: str) -> None:
        """Refuse number formats in which small entries of a displacement are rounded away."""
        wide = torch.promote_types(self._theta.dtype, torch.float32)
        now = (self._parameters.flatten().to(wide) - self._theta.to(wide)).cpu()
        asked, done = (self._space.inner(vector, vector) ** 0.5 for vector in (by, now))
        if abs(done - asked) > _ROUNDED * asked:
            dtypes = sorted({str(p.dtype).removeprefix("torch.") for p in self._parameters.parameters.values()})
            raise ValueError(
                f"intervene: with the weights {where}, {', '.join(dtypes)} rounds small entries away: they moved by "
                f"{done:.3g} in place of {asked:.3g}, and arms of another length cannot be compared; pass model.float()"
            )

    def _checked(self, found: Mapping[str, float], where: str) -> dict[str, float]:
        if not isinstance(found, Mapping) or not found or not all(isinstance(name, str) for name in found):
            raise ValueError(f"intervene: evaluate returned {found!r}, the weights {where}; return {{name: number}}")
        try:
            values = {name: float(value) for name, value in found.items()}
        except (TypeError, ValueError):
            raise ValueError(f"intervene: evaluate returned {found!r}; each value must be one number") from None
        names = tuple(values)
        if self._names is not None and set(names) != set(self._names):
            raise ValueError(
                f"intervene: evaluate returned {sorted(names)} with the weights {where}, and {sorted(self._names)} "
                "before; return the same names each time"
            )
        self._names = names
        return values


def _outcomes(
    measure: _Measurement, arms: list[Arm], strengths: tuple[float, ...], norm: float
) -> tuple[list[Outcome], bool]:
    found: list[Outcome] = []
    try:
        for arm in arms:
            for draw, direction in enumerate(arm):
                for strength in strengths:
                    where = f"moved by {strength:g} along {arm.name}, draw {draw}"
                    found.append(Outcome(arm.name, strength, draw, measure(where, strength * norm * direction)))
    except KeyboardInterrupt:
        return found, False
    return found, True


def _rows(space: DirectionSpace, edge: SpectralEdge | Tensor | np.ndarray, k: int | None) -> Tensor:
    if k is not None and k < 1:
        raise ValueError(f"intervene: k = {k}; at least one direction is needed")
    if isinstance(edge, SpectralEdge):
        edge.check_layout(space.parameters.names)
        rows = edge.directions(edge.position if k is None else k)
    else:
        rows = torch.as_tensor(edge).detach()
        rows = rows if rows.is_floating_point() else rows.float()
        rows = rows[None] if rows.ndim == 1 else rows
        if k is not None and k > len(rows):
            raise ValueError(f"intervene: k = {k} directions asked for, but {len(rows)} were given")
        rows = rows[:k]
    if rows.ndim != 2 or rows.shape[1] != space.parameters.dim:
        raise ValueError(
            f"intervene: directions have shape {tuple(rows.shape)}; these parameters need (k, {space.parameters.dim})"
        )
    if not torch.isfinite(rows).all():
        raise ValueError("intervene: a direction is not finite")
    lengths = rows.new_tensor([space.inner(row, row) ** 0.5 for row in rows])
    return (rows / lengths.where(lengths > 0, 1)[:, None]).cpu()


def _check(controls: tuple[str, ...], strengths: tuple[float, ...], draws: int, seed: int) -> None:
    unknown = [name for name in controls if name not in CONTROLS]
    if unknown or len(set(controls)) < len(controls):
        raise ValueError(f"intervene: controls = {list(controls)}; choose each at most once from {list(CONTROLS)}")
    if not strengths or len(set(strengths)) < len(strengths) or not np.isfinite(strengths).all() or 0 in strengths:
        raise ValueError(f"intervene: strengths = {list(strengths)}; give different finite numbers, none of them 0")
    if draws < 1 or seed < 0:
        raise ValueError(f"intervene: draws = {draws}, seed = {seed}; need at least one draw and a seed >= 0")


def _share(norm: float, space: DirectionSpace) -> float:
    """Of the weights' length; infinite where they are zero."""
    try:
        return norm / space.weight_norm()
    except CannotDrawError:
        return float("inf")
