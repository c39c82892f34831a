"""Trained runs of the project's own tasks: made, opened, and asked for models, updates and edges."""

from spectral_edge.subjects.checkpoints import checkpoint_step, grok_step, snapshots_before, stop_step
from spectral_edge.subjects.compare_run import compare_run
from spectral_edge.subjects.profiles import BASIS, GROKKING, NOT_GROKKING, SEEDS, TRITASK, discovery_runs, profile_runs
from spectral_edge.subjects.trained_run import TrainedRun
from spectral_edge.subjects.training_run import RunConfig, open_run, run_folder, train_run, train_runs

__all__ = [
    "BASIS",
    "GROKKING",
    "NOT_GROKKING",
    "SEEDS",
    "TRITASK",
    "RunConfig",
    "TrainedRun",
    "checkpoint_step",
    "compare_run",
    "discovery_runs",
    "grok_step",
    "open_run",
    "profile_runs",
    "run_folder",
    "snapshots_before",
    "stop_step",
    "train_run",
    "train_runs",
]
