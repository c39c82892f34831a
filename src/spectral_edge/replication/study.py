"""What a study is: numbers and arrays measured on one trained run, kept beside it, and never computed twice."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from spectral_edge.grokking import TrainingConfig
from spectral_edge.store import Analysis, ClaimRow, RunSummary, read_analysis, write_analysis
from spectral_edge.subjects.device import Device
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["AnalysisConfig", "Findings", "Say", "Study", "is_published_protocol"]

Say = Callable[[str], None]
"""Called with a few words before each stage."""


class AnalysisConfig(BaseModel):
    """How updates are turned into an edge, and the edge is tested."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: int = Field(20, ge=4)
    """Updates in the window, W; the claims need three directions, and centring takes one."""
    stride: int = Field(100, ge=1)
    """Optimizer steps per update; a multiple of the snapshot spacing (published: 100)."""
    centered: bool = True
    """Subtract the window mean before the edge is found (the published functional analysis does)."""
    random_directions: int = Field(200, ge=20)
    """Random unit directions, uniform on the sphere: the null ``isotropic``."""
    permutations: int = Field(200, ge=20)
    """Permutations of the inputs of the second null."""
    relative_epsilon: float = Field(0.005, gt=0)
    """Step of the finite difference that the exact derivative is compared with."""
    seed: int = Field(0, ge=0)
    """Seed of both nulls."""
    device: Device = "cpu"
    """Where responses to the random directions are computed; what is read of them is computed on the CPU."""
    phases: Literal["published", "all"] = "published"
    """published: measure each claim at the paper's checkpoint. all: at the transition and the stop, the shape of the
    responses also early and at memorisation, with edge directions of another phase as a further null; `reproduce`
    then runs the studies of every claim (probes, sparse autoencoder, co-usage, …)."""

    @property
    def directions(self) -> int:
        """Edge directions to analyse: the eight that claims speak of, or as many as the window has."""
        return min(8, self.window - 1)


def is_published_protocol(training: TrainingConfig, config: AnalysisConfig) -> bool:
    """Whether the paper's numbers speak of this run: its protocol, and its window, stride and centring.

    The printed numbers are those of seed 42 (Figure 1); other seeds are measured without a published number. Several
    operations on one trunk were trained on nonzero residues.
    """
    default = AnalysisConfig()
    same_edge = (config.window, config.stride, config.centered) == (default.window, default.stride, default.centered)
    # How long a run goes on after the stopping rule does not change what came before.
    same_length = training.model_copy(update={"min_steps": 0, "max_steps": TrainingConfig().max_steps})
    return same_edge and same_length == TrainingConfig(
        operation=training.operation, nonzero=len(training.operations) > 1
    )


@dataclass(frozen=True)
class Findings:
    """What a study measured on one run.

    Attributes:
        rows: one number each, p-values not yet adjusted.
        arrays: what figures are drawn from, by name; names of different studies differ.
        analysed_steps, edge_position, finite_difference_error: as in ``RunSummary``, by checkpoint.
    """

    rows: list[ClaimRow]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    analysed_steps: dict[str, int] = field(default_factory=dict)
    edge_position: dict[str, int] = field(default_factory=dict)
    finite_difference_error: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """One measurement programme on one run at a time, and what it says about several.

    Attributes:
        name: also the name of its folder in a run directory.
        version: raised when its numbers change their meaning; what is stored under another version is redone.
        claims: the claims its rows speak of; empty if it only feeds figures.
        applies: whether a run is its business.
        measure: the measurement of one run.
        across: rows over several runs, made of their stored analyses whenever claims are assembled.
        brief: whether it is part of an analysis with ``phases="published"``, too.
    """

    name: str
    version: int
    claims: tuple[str, ...]
    applies: Callable[[TrainingConfig], bool]
    measure: Callable[[TrainedRun, AnalysisConfig, Say], Findings]
    across: Callable[[Sequence[Analysis]], list[ClaimRow]] | None = None
    brief: bool = False

    def folder(self, config: AnalysisConfig) -> str:
        """Name of the analysis inside its run directory."""
        text = f"{self.version}:{config.model_dump_json()}"
        return f"analysis-{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def stored(self, path: Path, config: AnalysisConfig) -> Analysis | None:
        """The committed analysis of the run at ``path``, or ``None``; errors as :func:`read_analysis`."""
        return read_analysis(path / self.folder(config))

    def complete(self, run: TrainedRun, config: AnalysisConfig, say: Say) -> Analysis:
        """Measure the run, or read the measurement that is already there.

        Raises:
            StoreError: the run is damaged.
            ValueError: the trajectory is too short for the window.
        """
        stored = self.stored(run.path, config)
        if stored is not None and stored.summary.steps == run.metrics[-1]["step"]:  # else the run went on since
            return stored
        torch.set_num_threads(run.config.threads)
        started = time.monotonic()
        findings = self.measure(run, config, say)
        summary = _summary(run, config, findings, {self.name: round(time.monotonic() - started, 1)})
        write_analysis(run.path / self.folder(config), findings.rows, summary, findings.arrays)
        analysis = self.stored(run.path, config)
        assert analysis is not None  # just committed
        return analysis


# What runs of one table may differ in: it is what the table compares.
_COMPARED = {"operation", "seed", "weight_decay", "nonzero", "min_steps", "max_steps"}


def _summary(run: TrainedRun, config: AnalysisConfig, findings: Findings, seconds: dict[str, float]) -> RunSummary:
    trained = run.run.status.get("seconds")
    return RunSummary(
        run_id=run.config.run_id,
        task=run.training.operation,
        seed=run.training.seed,
        weight_decay=run.training.weight_decay,
        steps=int(run.metrics[-1]["step"]),
        grok_step=run.grok_step,
        stop_step=run.stop_step,
        test_accuracy=run.metrics[-1]["test_accuracy"],
        protocol=run.training.model_dump(mode="json", exclude=_COMPARED),
        seconds=({} if trained is None else {"training": round(trained, 1)}) | seconds,
        edge_setting={"stride": config.stride, "window": config.window, "centered": config.centered},
        analysed_steps=findings.analysed_steps,
        edge_position=findings.edge_position,
        finite_difference_error=findings.finite_difference_error,
    )
