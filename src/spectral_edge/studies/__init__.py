"""Studies: a frozen configuration in, a stored result out."""

from spectral_edge.studies.assembly import analyses_of, assemble, find_analyses
from spectral_edge.studies.catalogue import QUICK_CLAIMS, RULES, STUDIES
from spectral_edge.studies.claims.rule import ClaimRule
from spectral_edge.studies.progress import Progress
from spectral_edge.studies.reproduce import ReproduceConfig, reproduce
from spectral_edge.studies.run_analysis import analyze_run, stored_analysis
from spectral_edge.studies.study import AnalysisConfig
from spectral_edge.studies.sweep import SweepTable, sweep_table
from spectral_edge.studies.verdicts import judge

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
