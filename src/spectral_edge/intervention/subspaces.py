"""Which directions are taken out of updates: fixed ones, the weights' own, or those of a running window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from spectral_edge.parameters import ParameterSubset
from spectral_edge.spectrum import UpdateWindow

__all__ = ["Fixed", "RunningEdge", "Stateless", "Subspace", "WeightDirection"]


# Length of a unit vector's part across the weights below which it is rounding.
_LEFT = 1e-3
# Length of what is new in a unit vector, below which it says nothing.
_NEW = 1e-4


class Subspace(Protocol):
    """Directions that may change from step to step."""

    def directions(self, theta: Tensor) -> Tensor | None:
        """Orthonormal rows (m, D), or ``None`` as long as there are none.

        Args:
            theta: (D,), the parameters before the step.
        """
        ...

    def saw(self, update: Tensor, step: int) -> None:
        """Learn what the optimizer has asked for at a step, (D,), before anything is taken out of it."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`state_dict`."""
        ...


class Stateless:
    """A subspace of which a state dict keeps nothing."""

    def saw(self, update: Tensor, step: int) -> None:
        """Nothing is learnt."""

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore.

        Raises:
            ValueError: the state is of another subspace.
        """
        if state:
            raise ValueError(f"{type(self).__name__}: the state is of another subspace, with {', '.join(state)}")


class Fixed(Stateless):
    """The span of given rows.

    Args:
        rows: (m, D), independent.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, rows: Tensor) -> None:
        lengths = rows.double().norm(dim=1, keepdim=True)
        if not len(rows) or len(rows) > rows.shape[1] or not torch.isfinite(rows).all() or not lengths.all():
            raise ValueError(f"project_updates: {len(rows)} directions; give finite ones, none zero, at most D of them")
        q, r = torch.linalg.qr((rows.double() / lengths).T)
        if r.diagonal().abs().min() < _NEW:
            raise ValueError("project_updates: one of the directions says nothing new; leave it out")
        self._rows = q.T.to(rows.dtype)

    def directions(self, theta: Tensor) -> Tensor:
        """As :meth:`Subspace.directions`."""
        return self._rows


class WeightDirection(Stateless):
    """θ/||θ||, the weights' own direction at each step."""

    def directions(self, theta: Tensor) -> Tensor | None:
        """As :meth:`Subspace.directions`; none where the weights are zero."""
        theta = theta.to(torch.promote_types(theta.dtype, torch.float32))
        norm = theta.norm()
        if norm == 0 or not torch.isfinite(norm):  # its square has left float32
            theta = theta.double()
            norm = theta.norm()
        return None if norm == 0 else (theta / norm)[None]


class RunningEdge:
    """Directions of the last W updates that the optimizer asked for, found anew after each of them.

    Until W have been asked for there are none. The window holds what was asked for and not what was done: else a
    direction that is taken out would be gone from the window that is to find it.

    Args:
        parameters: whose updates.
        window: W, at least 2.
        every: training steps in one update, whose changes are added up.
        k: directions.
        skip: of the leading ones that are passed over: with ``skip=5`` the directions are of the bulk.
        across_weights: the part of each direction orthogonal to θ alone; a direction of which less than a thousandth
            is left has none.
        at_random: k random orthonormal directions of the window's span in place of the leading ones, drawn anew for
            each window from ``seed``.
        seed: of these.

    Memory: (W + 1 + k) D numbers. Cost: each step two passes, each update 2 W D multiply-adds and k W D more.
    """

    def __init__(
        self,
        parameters: ParameterSubset,
        window: int = 20,
        every: int = 1,
        k: int = 1,
        *,
        skip: int = 0,
        across_weights: bool = False,
        at_random: bool = False,
        seed: int = 0,
    ) -> None:
        if every < 1 or k < 1 or skip < 0 or seed < 0 or (at_random and skip):
            raise ValueError(
                f"RunningEdge: every = {every}, k = {k}, skip = {skip}, seed = {seed}; counts must be at least 1, skip "
                "and seed at least 0, and random directions are of the whole span, without skip"
            )
        if skip + k >= window:
            raise ValueError(
                f"RunningEdge: directions {skip + 1} to {skip + k} of a window of {window} updates; skip + k must be "
                "below window"
            )
        if parameters.sharded:
            raise ValueError("RunningEdge: parameters are sharded over processes; project_updates needs them whole")
        self.names = parameters.names
        """Names of the parameters whose updates it sees, in their order."""
        first = next(iter(parameters.parameters.values()))
        self._window = UpdateWindow(window, parameters.dim, device=first.device)
        self._sum = torch.zeros(parameters.dim, dtype=self._window.wide_dtype, device=first.device)
        self._counts = torch.zeros(1, dtype=torch.int64)  # steps seen
        self._every, self._k, self._skip, self._seed = every, k, skip, seed
        self._across, self._at_random = across_weights, at_random
        self._found: Tensor | None = None

    def saw(self, update: Tensor, step: int) -> None:
        """As :meth:`Subspace.saw`."""
        self._sum += update if torch.isfinite(update).all() else 0  # of a step that was undone, or is about to be
        self._counts += 1
        if int(self._counts) % self._every:
            return
        if self._sum.any():
            self._window.push(self._sum, step)
            self._found = self._directions() if self._window.full else None
        self._sum.zero_()

    def directions(self, theta: Tensor) -> Tensor | None:
        """As :meth:`Subspace.directions`."""
        if self._found is None or not self._across:
            return self._found
        theta = theta.to(torch.promote_types(theta.dtype, torch.float32))
        norm = theta.norm()
        if norm == 0:
            return self._found
        unit, rows = theta / norm, self._found.to(theta)
        for _ in range(2):  # the second time for what rounding has left of the first
            rows = rows - (rows @ unit)[:, None] * unit
        rows = rows[rows.norm(dim=1) > _LEFT]
        return torch.linalg.qr(rows.T)[0].T if len(rows) else None

    def _directions(self) -> Tensor | None:
        edge = self._window.edge(center=False, copy=False)
        if edge.identifiable < self._skip + self._k:
            return None
        if not self._at_random:
            return edge.directions(self._skip + self._k)[self._skip :].clone()
        rng = np.random.default_rng([self._seed, self._window.pushed])
        rotation = np.linalg.qr(rng.standard_normal((edge.identifiable, self._k)))[0].T
        return edge.combinations(rotation)

    def state_dict(self) -> dict[str, Tensor]:
        """As :meth:`Subspace.state_dict`."""
        state = {f"window.{name}": value for name, value in self._window.state_dict().items()}
        return state | {"sum": self._sum.clone(), "steps": self._counts.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """As :meth:`Subspace.load_state_dict`.

        Raises:
            ValueError: an entry is missing or of another shape; nothing is changed then.
        """
        window = {name.removeprefix("window."): value for name, value in state.items() if name.startswith("window.")}
        self._window.check_state(window)
        total, steps = state.get("sum"), state.get("steps")
        if total is None or total.shape != self._sum.shape or steps is None or steps.shape != self._counts.shape:
            raise ValueError("RunningEdge: the state has no sum of this shape; it is of other parameters")
        self._window.load_state_dict(window)
        self._sum.copy_(total)
        self._counts.copy_(steps)
        self._found = self._directions() if self._window.full else None
