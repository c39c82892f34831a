"""A callback for the Trainer of Transformers: records each optimizer step, and saves its state beside checkpoints."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from spectral_edge.recording.recorder import Recorder
from spectral_edge.recording.watching import restore, watch

__all__ = ["WatchCallback"]

logger = logging.getLogger("spectral_edge")


class WatchCallback(TrainerCallback, ExportableState):
    """Watches the optimizer of a ``Trainer`` from the start of training to its end.

    The state is saved as ``spectral_edge_<rank>.safetensors`` in each ``checkpoint-<step>`` of ``output_dir``, and read
    from there when training resumes at that step in the same ``output_dir``. A token in the trainer's own state says
    that the two belong together; otherwise the window starts empty, and it is said.

    Args:
        settings: those of :func:`spectral_edge.watch`, except ``automatic``. With the trainer's
            ``restore_callback_states_from_checkpoint``, those that JSON can hold come from the checkpoint.

    Attributes:
        recorder: once training has started; stays readable afterwards.
        token: names the recording.
    """

    def __init__(self, **settings: Any) -> None:
        self.recorder: Recorder | None = None
        self.token = secrets.token_hex(8)
        self._settings = settings

    def state(self) -> dict[str, Any]:
        """What the trainer keeps of this callback in a checkpoint: a pointer, not the window."""
        plain = {name: value for name, value in self._settings.items() if isinstance(value, str | int | bool | None)}
        return {"args": plain, "attributes": {"token": self.token}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Attach, and continue from the checkpoint if training resumes from one."""
        if self.recorder is not None:
            self.recorder.close()
        model: nn.Module = kwargs["model"]
        self.recorder = watch(model, kwargs["optimizer"], automatic=False, **self._settings)
        if state.global_step:
            restore(self.recorder, self._saved(args, state))
        # The trainer looks this up at each save, and a checkpoint that was made without this callback lacks it.
        state.stateful_callbacks.setdefault(type(self).__name__, self.state())

    def _saved(self, args: TrainingArguments, state: TrainerState) -> dict[str, Tensor]:
        """The recorder's state of the checkpoint that training resumes from; nothing if there is none."""
        stored = (state.stateful_callbacks or {}).get(type(self).__name__, {})
        tokens = [one.get("attributes", {}).get("token") for one in (stored if isinstance(stored, list) else [stored])]
        try:
            with safe_open(_state_file(args, state), framework="pt") as file:
                token = (file.metadata() or {}).get("token")
                if token in tokens:
                    self.token = str(token)
                    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            pass
        return {}

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End a training step; the trainer counts it after this."""
        if self.recorder is not None and self.recorder.pending:
            self.recorder.commit(state.global_step + 1)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save the state beside the checkpoint."""
        if self.recorder is None or self.recorder.stopped is not None:
            return
        tensors = {name: value.cpu().contiguous() for name, value in self.recorder.state_dict().items()}
        file = _state_file(args, state)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, file, metadata={"token": self.token})
        except (OSError, SafetensorError) as problem:
            logger.warning("spectral-edge: the recorder's state could not be saved as %s: %s", file, problem)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Detach."""
        if self.recorder is not None:
            self.recorder.close()


def _state_file(args: TrainingArguments, state: TrainerState) -> Path:
    folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
    return folder / f"spectral_edge_{args.process_index}.safetensors"
