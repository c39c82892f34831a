"""Where rows come from: one step of one run, and what every row of it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spectral_edge.replication.study import AnalysisConfig, is_published_protocol
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.store import Checkpoint, ClaimRow
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["AnalysedStep"]


@dataclass(frozen=True)
class AnalysedStep:
    """A run, analysed at one step."""

    run: TrainedRun
    config: AnalysisConfig
    checkpoint: Checkpoint
    step: int

    @classmethod
    def at_stop(cls, run: TrainedRun, config: AnalysisConfig) -> AnalysedStep:
        """The stop of the run; where it ended, if it does not generalise."""
        step = run.step_of("stop")
        if step is None:
            return cls(run, config, "final", int(run.metrics[-1]["step"]))
        return cls(run, config, "stop", step)

    @property
    def edge(self) -> SpectralEdge:
        """The spectral edge of the window that ends here."""
        return self.run.edge(self.step, self.config.window, self.config.stride, self.config.centered)

    def row(self, claim: str, **found: Any) -> ClaimRow:
        """A row of the model at this step; ``found`` may replace what the step says of itself, such as the task."""
        training = self.run.training
        own = {
            "task": training.operation,
            "seed": training.seed,
            "weight_decay": training.weight_decay,
            "checkpoint": self.checkpoint,
            "step": self.step,
            "run_id": self.run.config.run_id,
        }
        return ClaimRow(claim=claim, **(own | found))

    def edge_row(self, claim: str, **found: Any) -> ClaimRow:
        """A row of one or several directions of the edge."""
        c = self.config
        setting = {"stride": c.stride, "window": c.window, "centered": c.centered, "method": "jvp"}
        return self.row(claim, **(setting | found))

    @property
    def as_published(self) -> bool:
        """Whether the paper's numbers speak of this run and step."""
        return self.checkpoint == "stop" and is_published_protocol(self.run.training, self.config)
