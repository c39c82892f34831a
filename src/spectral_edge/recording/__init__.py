"""Record parameter updates in any training loop."""

from spectral_edge.recording.recorder import Recorder, watch

__all__ = ["Recorder", "watch"]
