"""A callback for the Trainer of Transformers: records each optimizer step, and saves its state beside checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from spectral_edge.recording.recorder import Recorder
from spectral_edge.recording.watching import watch

__all__ = ["WatchCallback"]

logger = logging.getLogger("spectral_edge")


class WatchCallback(TrainerCallback):
    """Watches the optimizer of a ``Trainer`` from the start of training to its end.

    The state is saved as ``spectral_edge_<rank>.safetensors`` in each ``checkpoint-<step>`` of ``output_dir``, and read
    from there when training resumes at that step.

    Args:
        settings: those of :func:`spectral_edge.watch`, except ``automatic``.

    Attributes:
        recorder: once training has started; stays readable afterwards.
    """

    def __init__(self, **settings: Any) -> None:
        self.recorder: Recorder | None = None
        self._settings = settings

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Attach, and continue from the checkpoint if training resumes from one."""
        model: nn.Module = kwargs["model"]
        self.recorder = watch(model, kwargs["optimizer"], automatic=False, **self._settings)
        if state.global_step:
            file = _state_file(args, state)
            if file.exists():
                self.recorder.load_state_dict(load_file(file))
            else:
                logger.warning(
                    "spectral-edge: training resumes at step %d, but %s is not there: the window starts empty",
                    state.global_step,
                    file,
                )

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End a training step; the trainer counts it after this."""
        if self.recorder is not None and self.recorder.pending:
            self.recorder.commit(state.global_step + 1)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save the state beside the checkpoint."""
        if self.recorder is not None:
            tensors = {name: value.contiguous() for name, value in self.recorder.state_dict().items()}
            save_file(tensors, _state_file(args, state))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Detach."""
        if self.recorder is not None:
            self.recorder.close()


def _state_file(args: TrainingArguments, state: TrainerState) -> Path:
    folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
    return folder / f"spectral_edge_{args.process_index}.safetensors"
