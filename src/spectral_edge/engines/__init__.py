"""Engines: they place work on processes, here or elsewhere, and know nothing of what the work is.

``engines.dask`` and ``engines.slurm`` need the extra of their name, so neither is imported here.
"""

from spectral_edge.engines.engine import Ended, Engine, EngineError, prepare_workers
from spectral_edge.engines.local import LocalEngine, call_all

__all__ = ["Ended", "Engine", "EngineError", "LocalEngine", "call_all", "prepare_workers"]
