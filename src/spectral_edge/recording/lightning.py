"""A callback for Lightning: records in ``Trainer.fit``, and its state goes into every checkpoint."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from spectral_edge.recording.recorder import Recorder
from spectral_edge.recording.watching import restore, watch

__all__ = ["WatchCallback"]


class WatchCallback(Callback):
    """Watches all optimizers of a trainer from the start of training to its end.

    Args:
        settings: those of :func:`spectral_edge.watch`, except ``automatic``.

    Attributes:
        recorder: once training has started; stays readable afterwards.

    With ``ModelParallelStrategy`` (FSDP2) shards are recorded, but Lightning saves the state of the first process only,
    so that the window starts empty after a resume; ``FSDPStrategy`` is FSDP1 and refused. Two of these callbacks in one
    trainer need different settings, by which their states are told apart.
    """

    def __init__(self, **settings: Any) -> None:
        self.recorder: Recorder | None = None
        self._settings = settings
        self._restored: dict[str, Any] | None = None

    @property
    def state_key(self) -> str:
        """Under which the state is in a checkpoint."""
        return self._generate_state_key(**{name: str(value) for name, value in sorted(self._settings.items())})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach, and continue from the checkpoint if there is one."""
        self.on_train_end()
        self.recorder = watch(pl_module, trainer.optimizers, automatic=False, **self._settings)
        if self._restored is not None:
            restore(self.recorder, self._restored)
            self._restored = None

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """End a training step, if an optimizer stepped on this batch."""
        if self.recorder is not None and self.recorder.pending:
            # Lightning counts the steps of each optimizer.
            self.recorder.commit(trainer.global_step if len(trainer.optimizers) == 1 else None)

    def on_train_end(self, *_: Any) -> None:
        """Detach."""
        if self.recorder is not None:
            self.recorder.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Detach: training may be started again in the same process."""
        if self.recorder is not None:
            self.recorder.close(f"{type(exception).__name__}: {exception}")

    def state_dict(self) -> dict[str, Any]:
        """Tensors by name."""
        return {} if self.recorder is None else self.recorder.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until training starts."""
        self._restored = state_dict or None
