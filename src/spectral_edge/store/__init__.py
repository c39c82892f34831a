"""Runs and results to disk and back: the only room that touches files, and it trusts none it reads."""

from spectral_edge.store.analysis import Analysis, read_analysis, write_analysis
from spectral_edge.store.claims import (
    Answer,
    Claims,
    Curve,
    Definition,
    DerivativeError,
    Effect,
    EvidenceRow,
    NumberKey,
    PartEffect,
    PlacedNumber,
    SensitivityEffect,
    Spread,
    TaskAnswer,
    ThreeWay,
)
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
from spectral_edge.store.files import (
    append_line,
    make_folder,
    read_file,
    read_lines,
    set_aside,
    write_atomically,
)
from spectral_edge.store.growing_lines import GrowingLines
from spectral_edge.store.kept_modes import KeptModes, Labels
from spectral_edge.store.locks import LockHolder, LockState, hold_lock, read_lock
from spectral_edge.store.records import Document, Frozen
from spectral_edge.store.results import (
    Checkpoint,
    ClaimRow,
    Inputs,
    Interval,
    NullKind,
    NullSummary,
    Numbers,
    PeakNull,
    RunSummary,
)
from spectral_edge.store.rounding import CopyRow, PartingRow, Rounding
from spectral_edge.store.run_directory import RunDirectory
from spectral_edge.store.sae_lens import write_sae_lens
from spectral_edge.store.strict_json import decode_json, encode_json
from spectral_edge.store.sweeps import SweepFile, sweep_files, write_sweep
from spectral_edge.store.system import open_file, reserve
from spectral_edge.store.tensors import decode_tensors, encode_tensors

__all__ = [
    "AlarmRow",
    "Analysis",
    "Answer",
    "Armed",
    "Checkpoint",
    "ClaimRow",
    "Claims",
    "ConfigMismatchError",
    "CopyRow",
    "Curve",
    "Definition",
    "DerivativeError",
    "Discoveries",
    "DiscoveryRow",
    "DiscoverySource",
    "Document",
    "EarlyWarnings",
    "Effect",
    "Event",
    "EvidenceRow",
    "Frozen",
    "GroupCount",
    "GrowingLines",
    "Inputs",
    "Interval",
    "KeptModes",
    "KnownShare",
    "Labels",
    "LockHolder",
    "LockState",
    "NullKind",
    "NullSummary",
    "NumberKey",
    "Numbers",
    "Outcome",
    "PartEffect",
    "PartingRow",
    "PeakNull",
    "PlacedNumber",
    "Rounding",
    "RunCorruptError",
    "RunDirectory",
    "RunLockedError",
    "RunMissingError",
    "RunSummary",
    "SchemaError",
    "Scheme",
    "SensitivityEffect",
    "Spread",
    "StatisticKind",
    "StoreError",
    "SweepFile",
    "TaskAnswer",
    "ThreeWay",
    "WarningRow",
    "Watched",
    "append_line",
    "decode_json",
    "decode_tensors",
    "describe_environment",
    "encode_json",
    "encode_tensors",
    "hold_lock",
    "make_folder",
    "open_file",
    "read_analysis",
    "read_file",
    "read_lines",
    "read_lock",
    "reserve",
    "run_id",
    "set_aside",
    "storage_error",
    "sweep_files",
    "write_analysis",
    "write_atomically",
    "write_sae_lens",
    "write_sweep",
]
