"""Runs and results to disk and back: the only room that touches files, and it trusts none it reads."""

from spectral_edge.store.analysis import Analysis, read_analysis, write_analysis
from spectral_edge.store.configuration import run_id
from spectral_edge.store.discoveries import (
    Discoveries,
    DiscoveryRow,
    DiscoverySource,
    KnownShare,
)
from spectral_edge.store.early_warnings import (
    AlarmRow,
    Armed,
    EarlyWarnings,
    Event,
    GroupCount,
    Outcome,
    Scheme,
    StatisticKind,
    WarningRow,
    Watched,
)
from spectral_edge.store.environment import describe_environment
from spectral_edge.store.errors import (
    ConfigMismatchError,
    RunCorruptError,
    RunLockedError,
    RunMissingError,
    SchemaError,
    StoreError,
    storage_error,
)
from spectral_edge.store.files import append_line, read_lines, set_aside, sha256_file, write_atomically
from spectral_edge.store.growing_lines import GrowingLines
from spectral_edge.store.locks import LockHolder, LockState, hold_lock, read_lock
from spectral_edge.store.records import Document, Frozen
from spectral_edge.store.results import (
    Checkpoint,
    ClaimRow,
    Claims,
    Inputs,
    Interval,
    NullKind,
    NullSummary,
    PeakNull,
    RunSummary,
    Verdict,
)
from spectral_edge.store.rounding import CopyRow, PartingRow, Rounding
from spectral_edge.store.run_directory import RunDirectory
from spectral_edge.store.sae_lens import write_sae_lens
from spectral_edge.store.sweeps import SweepFile, read_sweep, sweep_files, write_sweep

__all__ = [
    "AlarmRow",
    "Analysis",
    "Armed",
    "Checkpoint",
    "ClaimRow",
    "Claims",
    "ConfigMismatchError",
    "CopyRow",
    "Discoveries",
    "DiscoveryRow",
    "DiscoverySource",
    "Document",
    "EarlyWarnings",
    "Event",
    "Frozen",
    "GroupCount",
    "GrowingLines",
    "Inputs",
    "Interval",
    "KnownShare",
    "LockHolder",
    "LockState",
    "NullKind",
    "NullSummary",
    "Outcome",
    "PartingRow",
    "PeakNull",
    "Rounding",
    "RunCorruptError",
    "RunDirectory",
    "RunLockedError",
    "RunMissingError",
    "RunSummary",
    "SchemaError",
    "Scheme",
    "StatisticKind",
    "StoreError",
    "SweepFile",
    "Verdict",
    "WarningRow",
    "Watched",
    "append_line",
    "describe_environment",
    "hold_lock",
    "read_analysis",
    "read_lines",
    "read_lock",
    "read_sweep",
    "run_id",
    "set_aside",
    "sha256_file",
    "storage_error",
    "sweep_files",
    "write_analysis",
    "write_atomically",
    "write_sae_lens",
    "write_sweep",
]
