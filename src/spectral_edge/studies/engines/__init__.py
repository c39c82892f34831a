"""Engines: they place work on processes, here or elsewhere, and know nothing of what the work is.

``studies.engines.dask`` and ``studies.engines.slurm`` need the extra of their name, so neither is imported
here.
"""

from spectral_edge.studies.engines.engine import Ended, Engine, EngineError, single_threaded_libraries
from spectral_edge.studies.engines.local import LocalEngine

__all__ = ["Ended", "Engine", "EngineError", "LocalEngine", "single_threaded_libraries"]
