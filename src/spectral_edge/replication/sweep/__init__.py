"""Sweeps: many run directories, each brought to its end by whichever process gets to it."""

from spectral_edge.replication.sweep.driver import run_sweep
from spectral_edge.replication.sweep.spec import SpecError, SweepSpec, read_spec
from spectral_edge.replication.sweep.status import RunState, State, sweep_states
from spectral_edge.replication.sweep.table import SweepTable, sweep_table
from spectral_edge.replication.sweep.unit import Outcome

__all__ = [
    "Outcome",
    "RunState",
    "SpecError",
    "State",
    "SweepSpec",
    "SweepTable",
    "read_spec",
    "run_sweep",
    "sweep_states",
    "sweep_table",
]
