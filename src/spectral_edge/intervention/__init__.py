"""What directions cause: move weights along them, or keep training from doing so, beside controls of the same size."""

from spectral_edge.intervention.curvature import curvature
from spectral_edge.intervention.intervene import CONTROLS, intervene
from spectral_edge.intervention.projection import Projection, project_updates
from spectral_edge.intervention.result import Intervention, Outcome
from spectral_edge.intervention.subspaces import RunningEdge, Subspace

__all__ = [  # noqa: RUF022 - a table of contents, in the order of reading
    "intervene",
    "CONTROLS",
    "Intervention",
    "Outcome",
    "curvature",
    # during training
    "project_updates",
    "Projection",
    "Subspace",
    "RunningEdge",
]
