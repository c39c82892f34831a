"""Runs small enough for tests: mod 13, 60 steps, about a second."""

import hashlib

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication import AnalysisConfig
from spectral_edge.replication.decision import PROTOCOL
from spectral_edge.subjects import RunConfig

TINY = {"p": 13, "d_model": 16, "n_heads": 2, "d_mlp": 16, "batch_size": 32, "eval_every": 5, "max_steps": 60}
TINY_ANALYSIS = AnalysisConfig(window=9, stride=5, random_directions=20, permutations=20)
TINY_PROTOCOL = PROTOCOL.model_copy(update={"stride": 5, "window": 9, "draws": 6, "permutations": 8})
# Any accuracy will do as a stop, at step 60.
STOP = {"stop_accuracy": 1e-9, "stop_patience": 12, "max_steps": 60}


def tiny(operation="add", **changes):
    return RunConfig(training=TrainingConfig(operation=operation, **(TINY | changes)), window=4)


EVIDENCE_RUNS = [tiny("add.renamed1"), tiny("mul"), tiny("dihedral", p=14), tiny("random_table")]
"""What basis discovery is tried on: a renamed group, a known one, one that is not abelian, and none."""


def contents(path):
    """The SHA-256 of every file of a run that the result consists of: short to compare and to show."""
    left_out = {"status.json", "environment.json", "lock"}
    files = (f for f in sorted(path.rglob("*")) if f.is_file() and f.name not in left_out)
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
