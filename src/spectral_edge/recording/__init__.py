"""Watch any training loop: its updates, their spectrum as it goes, and the record that stays."""

from spectral_edge.recording.agreement import RecordingStoppedError
from spectral_edge.recording.decay import DecayPart
from spectral_edge.recording.gradients import SourceGradient
from spectral_edge.recording.live import LiveValues
from spectral_edge.recording.metric import optimizer_metric
from spectral_edge.recording.parts import PartWindow, RunningSum, UpdatePart
from spectral_edge.recording.recorder import Recorder
from spectral_edge.recording.recording import Recording
from spectral_edge.recording.watching import watch

__all__ = [
    "DecayPart",
    "LiveValues",
    "PartWindow",
    "Recorder",
    "Recording",
    "RecordingStoppedError",
    "RunningSum",
    "SourceGradient",
    "UpdatePart",
    "optimizer_metric",
    "watch",
]
