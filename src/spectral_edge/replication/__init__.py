"""Studies: a frozen configuration in, a stored result out."""

from spectral_edge.replication.assembly import analyses_of, assemble, find_analyses
from spectral_edge.replication.catalogue import QUICK_CLAIMS, STUDIES
from spectral_edge.replication.claims import RULES
from spectral_edge.replication.claims.rule import ClaimRule
from spectral_edge.replication.progress import Progress
from spectral_edge.replication.reproduce import ReproduceConfig, reproduce
from spectral_edge.replication.run_analysis import analyze_run, stored_analysis
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.replication.sweep import SweepTable, sweep_table
from spectral_edge.replication.verdicts import judge

__all__ = [
    "QUICK_CLAIMS",
    "RULES",
    "STUDIES",
    "AnalysisConfig",
    "ClaimRule",
    "Progress",
    "ReproduceConfig",
    "SweepTable",
    "analyses_of",
    "analyze_run",
    "assemble",
    "find_analyses",
    "judge",
    "reproduce",
    "stored_analysis",
    "sweep_table",
]
