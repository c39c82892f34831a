"""The directions that are tested at one step of a run: of its edge, of the weights, and of the parts of its updates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spectral_edge.replication.decision.protocol import Protocol
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["StepDirections"]

_EDGE, _BULK = 3, 8


@dataclass(frozen=True, eq=False)
class StepDirections:
    """Unit rows by name, and the window that they come from.

    * ``v1`` … ``v8``: of the edge;
    * ``v1-theta``: v1 without its part along the weights θ, scaled to unit length;
    * ``theta``: the weights;
    * ``gradient1``, ``decay1``: v1 of the window of either part of the updates.

    Attributes:
        edge: of the window.
        window: its updates; fewer than the protocol's where the step comes too early.
        rows: (n, D).
        names: of the rows.
        cosines: of each row to θ, by name.
    """

    edge: SpectralEdge
    window: int
    names: tuple[str, ...]
    rows: Tensor
    cosines: dict[str, float]

    @classmethod
    def of(cls, run: TrainedRun, step: int, protocol: Protocol, weights: Tensor | None = None) -> StepDirections:
        """The directions at a step.

        Args:
            run: whose window ends at the step.
            step: a snapshot.
            protocol: window, stride, centring.
            weights: θ, if not the run's own at the step (the hybrid arm).

        Raises:
            ValueError: the window does not fit before the step.
            StoreError: a file of the run is damaged.
        """
        window = min(protocol.window, step // protocol.stride)
        settings = (step, window, protocol.stride, protocol.centered)
        edge = run.edge(*settings)
        theta = (run.weights_at(step) if weights is None else weights).float()
        theta = theta / theta.norm()
        found = {f"v{i + 1}": row for i, row in enumerate(edge.directions(min(_BULK, edge.identifiable)))}
        across = found["v1"] - (found["v1"] @ theta) * theta
        found |= {"v1-theta": across / across.norm(), "theta": theta}
        if weights is None:
            for part in ("gradient", "decay"):
                found[f"{part}1"] = run.edge(*settings, of=part).directions(1)[0]
        rows = torch.stack(list(found.values()))
        cosines = (rows.double() @ theta.double()).tolist()
        return cls(edge, window, tuple(found), rows, dict(zip(found, cosines, strict=True)))

    def chosen(self, names: tuple[str, ...]) -> Tensor:
        """Rows of some names."""
        return self.rows[[self.names.index(name) for name in names]]

    @property
    def of_edge(self) -> tuple[str, ...]:
        """v_1 … v_k*, at most three."""
        return tuple(f"v{i + 1}" for i in range(min(self.edge.position, _EDGE)))
