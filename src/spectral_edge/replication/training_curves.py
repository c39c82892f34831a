"""Accuracy, loss and spectra over training: what the figures of a run are drawn from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from spectral_edge.replication.study import AnalysisConfig, Findings, Say, Study
from spectral_edge.spectrum import SpectralEdge, UpdateWindow
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["TRAINING_CURVES"]


def _measure(run: TrainedRun, config: AnalysisConfig, say: Say) -> Findings:
    """Accuracy and loss at every evaluation, uncentred singular values at stride 1 and at ``config.stride``."""
    arrays = {
        f"metrics.{key}": np.array([line[key] for line in run.metrics])
        for key in ("step", "train_accuracy", "test_accuracy", "train_loss", "test_loss")
    }
    recorded = [line for line in run.metrics if line["singular_values"] is not None]
    arrays["spectrum.stride1.steps"] = np.array([line["step"] for line in recorded])
    arrays["spectrum.stride1.singular_values"] = np.array([line["singular_values"] for line in recorded])
    say(f"spectra of stride {config.stride} over training")
    steps = [s for s in run.run.snapshot_steps() if s % config.stride == 0]
    edges = list(_rolling_edges((run.weights_at(s) for s in steps), config.window))
    arrays[f"spectrum.stride{config.stride}.steps"] = np.array(steps[len(steps) - len(edges) :])
    arrays[f"spectrum.stride{config.stride}.singular_values"] = np.array([e.singular_values for e in edges])
    return Findings([], arrays)


def _rolling_edges(vectors: Iterable[Tensor], window: int) -> Iterable[SpectralEdge]:
    previous, rolling = None, None
    for vector in vectors:
        if previous is not None:
            rolling = rolling or UpdateWindow(window, len(vector))
            rolling.push(vector - previous)
            if rolling.full:
                yield rolling.edge(center=False)
        previous = vector


TRAINING_CURVES = Study("training", 2, (), lambda training: True, _measure, brief=True)
