"""The paper: its claims, the decision over many seeds, further numbers of single runs, reproductions and sweeps."""

from spectral_edge.replication.assembly import analyses_of, assemble, find_analyses
from spectral_edge.replication.catalogue import MODE_CLAIMS, STUDIES
from spectral_edge.replication.decision import Protocol, Question
from spectral_edge.replication.progress import Progress
from spectral_edge.replication.reproduce import ReproduceConfig, Reproduction, reproduce
from spectral_edge.replication.run_analysis import analyze_run, stored_analysis
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.replication.sweep import SweepTable, sweep_table

__all__ = [
    "MODE_CLAIMS",
    "STUDIES",
    "AnalysisConfig",
    "Progress",
    "Protocol",
    "Question",
    "ReproduceConfig",
    "Reproduction",
    "SweepTable",
    "analyses_of",
    "analyze_run",
    "assemble",
    "find_analyses",
    "reproduce",
    "stored_analysis",
    "sweep_table",
]
