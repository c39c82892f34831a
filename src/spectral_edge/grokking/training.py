"""Train on a modular task exactly by the published protocol, one resumable step at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from spectral_edge.grokking.stack import ModelStack
from spectral_edge.grokking.tasks import ModularTask
from spectral_edge.grokking.transformer import ModularTransformer

__all__ = ["Evaluation", "Training", "TrainingConfig", "check_alike", "train_together"]

# Pairs evaluated at once: what is computed on the way then stays in the cache, a fifth faster and bitwise the same.
_AT_ONCE = 1024


class TrainingConfig(BaseModel):
    """The published protocol (paper, section 2); every field may be changed, none needs to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: str = "add"
    """Operation: add, sub, mul, div, x2_y2, x2_xy_y2, x3_xy, or one that you registered. Several, joined by "+" as in
    add+mul, share one trunk and have a head each; their losses are summed."""
    p: int = Field(97, ge=5, le=2000)
    """Modulus; all p² pairs are held in memory."""
    nonzero: bool = False
    """Train on nonzero residues only. Several operations must have the same domain."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Seed of the split, the initialisation and the batches."""
    frac_train: float = Field(0.5, gt=0, lt=1)
    """Fraction of the pairs to train on."""
    d_model: int = Field(128, ge=1)
    """Width of the residual stream."""
    n_heads: int = Field(4, ge=1)
    """Attention heads per layer."""
    n_layers: int = Field(2, ge=1)
    """Transformer layers."""
    d_mlp: int = Field(256, ge=1)
    """Hidden width of the MLP."""
    learning_rate: float = Field(1e-3, gt=0)
    """AdamW learning rate."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW first-moment decay."""
    beta2: float = Field(0.98, ge=0, lt=1)
    """AdamW second-moment decay."""
    weight_decay: float = Field(1.0, ge=0)
    """AdamW weight decay, on all parameters."""
    batch_size: int = Field(512, ge=1)
    """Pairs per step, drawn with replacement."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradient-norm clip."""
    eval_every: int = Field(100, ge=1)
    """Steps between evaluations; snapshots are taken at the same steps."""
    stop_accuracy: float = Field(0.98, gt=0, le=1)
    """Test accuracy to stop at."""
    stop_patience: int = Field(3, ge=1)
    """Evaluations in a row that must reach it, in every operation."""
    min_steps: int = Field(0, ge=0)
    """Go on at least this far after the stopping rule is met, so that runs share one grid of steps."""
    max_steps: int = Field(50_000, ge=1)
    """Give up after this many steps."""

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations learned together, in the order of their heads."""
        return tuple(self.operation.split("+"))


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy (nats) and accuracy on both sides of the split after ``step`` optimizer steps.

    With several operations losses are sums, accuracies are those of the worst operation, and
    ``test_accuracies`` has each one's.
    """

    step: int
    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float
    test_accuracies: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The fields as a plain dict."""
        return asdict(self)


class Training:
    """The state of one training run: model, optimizer, batch generator, step and stopping counter.

    Everything random comes from ``config.seed`` in the order of the published protocol: global torch, numpy and
    random seeds, then the data, then the model. Batches come from ``np.random.RandomState(seed)``, which is the
    stream that ``np.random.seed(seed)`` followed by ``np.random.randint`` gives.

    Args:
        config: the protocol.
        device: where the model lives.

    Raises:
        ValueError: unknown operation or unusable modulus, from :class:`ModularTask`; or several operations with
            different domains.

    >>> training = Training(TrainingConfig(p=7, d_model=8, n_heads=2, d_mlp=16, max_steps=2, batch_size=8))
    >>> while not training.finished: training.step()
    >>> training.steps
    2
    """

    def __init__(self, config: TrainingConfig, device: torch.device | str = "cpu") -> None:
        torch.manual_seed(config.seed)
        np.random.seed(config.seed)  # noqa: NPY002 - the protocol's own generator
        random.seed(config.seed)
        self.config = config
        self.tasks = tuple(ModularTask(name, config.p, config.nonzero) for name in config.operations)
        _check_domains(self.tasks)
        self.split = self.task.split(config.frac_train, config.seed)
        self.model = ModularTransformer(
            config.p, config.operations, config.d_model, config.n_heads, config.n_layers, config.d_mlp
        ).to(device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._stack = ModelStack([self.model], config.max_grad_norm)
        self.steps = 0
        self.stop_step: int | None = None
        self.diverged: str | None = None  # at which step, and what to do
        self._batches = np.random.RandomState(config.seed)
        self._above = 0

    @property
    def task(self) -> ModularTask:
        """The operation, or the first of several: they share pairs and split."""
        return self.tasks[0]

    @cached_property
    def _data(self) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """For each side of the split a (N,), b (N,) and the labels of every task (tasks, N)."""
        device = self.model.pos_emb.device
        pairs = torch.from_numpy(self.task.pairs).to(device)
        labels = torch.from_numpy(np.stack([task.labels for task in self.tasks])).to(device)
        sides = {"train": self.split.train, "test": self.split.test}
        return {
            side: (pairs[i, 0].contiguous(), pairs[i, 1].contiguous(), labels[:, i].contiguous())
            for side, i in ((side, torch.from_numpy(index)) for side, index in sides.items())
        }

    def _logits(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """(N, p) for every task, in the order of the labels."""
        blocks = [self.model(x, y) for x, y in zip(a.split(_AT_ONCE), b.split(_AT_ONCE), strict=True)]
        if isinstance(blocks[0], dict):
            return [torch.cat([block[name] for block in blocks]) for name in self.config.operations]
        return [torch.cat(blocks)]

    @property
    def finished(self) -> bool:
        """Whether the stopping rule is met and ``min_steps`` are done, or ``max_steps`` are, or it has diverged."""
        enough = self.config.min_steps if self.grokked else self.config.max_steps
        return self.steps >= min(enough, self.config.max_steps) or self.diverged is not None

    @property
    def grokked(self) -> bool:
        """Whether test accuracy held for ``stop_patience`` evaluations in a row; ``stop_step`` is the last of them."""
        return self.stop_step is not None

    def step(self) -> None:
        """Draw one batch and take one optimizer step."""
        _step([self], self._stack)

    def draw(self) -> Tensor:
        """Draw the next batch: (2 + tasks, B), the rows of both tokens in the model's table, then the labels."""
        examples = self._examples
        index = torch.from_numpy(self._batches.randint(0, examples.shape[1], self.config.batch_size))
        return examples[:, index.to(examples.device)]

    @cached_property
    def _examples(self) -> Tensor:
        """(2 + tasks, N) what :meth:`draw` draws from."""
        a, b, labels = self._data["train"]
        return torch.cat([torch.stack([a, b + self.config.p]), labels])

    @torch.no_grad()
    def evaluate(self) -> Evaluation:
        """Measure both sides of the split; does not change any state."""
        loss, accuracy = {}, {}
        for side, (a, b, labels) in self._data.items():
            results = list(zip(self._logits(a, b), labels, strict=True))
            loss[side] = sum(F.cross_entropy(logits, y).item() for logits, y in results)
            accuracy[side] = [(logits.argmax(-1) == y).double().mean().item() for logits, y in results]
        each = dict(zip(self.config.operations, accuracy["test"], strict=True))
        return Evaluation(self.steps, loss["train"], loss["test"], min(accuracy["train"]), min(accuracy["test"]), each)

    def note(self, evaluation: Evaluation) -> None:
        """Advance the stopping rule by one evaluation; a loss that is not finite ends the training."""
        if not np.isfinite([evaluation.train_loss, evaluation.test_loss]).all():
            self.diverged = (
                f"training diverged at step {evaluation.step}: train loss {evaluation.train_loss}, test loss "
                f"{evaluation.test_loss}; lower the learning rate"
            )
        reached = evaluation.test_accuracy >= self.config.stop_accuracy
        self._above = self._above + 1 if reached else 0
        if self._above == self.config.stop_patience and self.stop_step is None:
            self.stop_step = evaluation.step

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON-able scalars from which the run continues bitwise."""
        tensors = {f"model.{name}": value.detach().clone() for name, value in self.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value.clone() for name, value in state.items()}
        generator = self._batches.get_state(legacy=False)
        tensors["batches.key"] = torch.from_numpy(generator["state"]["key"].astype(np.int64))
        scalars = {
            "steps": self.steps,
            "above": self._above,
            "stop_step": self.stop_step,
            "batch_position": int(generator["state"]["pos"]),
        }
        return tensors, scalars

    def load_state_dict(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; ``tensors`` stay as they are, so that several trainings may go on from them.

        Raises:
            KeyError: an entry is missing; the training is as it was.
            ValueError: a tensor is not this training's, or has another shape; the training is as it was.
        """
        self._check_state(tensors, scalars)
        self.model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        restored = self.optimizer.state_dict()
        restored["state"] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, field = name.split(".")
                # A copy: the optimizer keeps what it is given, and would write its next steps into ``tensors``.
                restored["state"].setdefault(int(index), {})[field] = value.clone()
        self.optimizer.load_state_dict(restored)
        key = tensors["batches.key"].numpy().astype(np.uint32)
        state = {"bit_generator": "MT19937", "state": {"key": key, "pos": scalars["batch_position"]}}
        self._batches.set_state(state | {"has_gauss": 0, "gauss": 0.0})
        self.steps, self._above, self.stop_step = scalars["steps"], scalars["above"], scalars["stop_step"]

    def _check_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        own = {name: value for name, value in self.state_dict()[0].items() if not name.startswith("optimizer.")}
        needed = {name: value.shape for name, value in own.items()}
        if scalars["steps"]:  # before its first step an optimizer has no state
            for index, parameter in enumerate(self.model.parameters()):
                needed |= {f"optimizer.{index}.{name}": parameter.shape for name in ("exp_avg", "exp_avg_sq")}
                needed[f"optimizer.{index}.step"] = torch.Size()
        missing = [name for name in needed if name not in tensors]
        missing += [name for name in ("above", "stop_step", "batch_position") if name not in scalars]
        if missing:
            raise KeyError(f"load_state_dict: {len(missing)} entries are missing, the first is {missing[0]!r}")
        further = [name for name in tensors if name.startswith("model.") and name not in needed]
        if further:
            raise ValueError(
                f"load_state_dict: this training's model has no {further[0].removeprefix('model.')!r}; was it saved by "
                "another configuration?"
            )
        for name, shape in needed.items():
            if tensors[name].shape != shape:
                raise ValueError(
                    f"load_state_dict: {name} has shape {tuple(tensors[name].shape)}, this training needs "
                    f"{tuple(shape)}; was it saved by another configuration?"
                )


def train_together(trainings: Sequence[Training]) -> Iterator[Training]:
    """Train several runs of one shape in lockstep, one gradient pass for all, until each is finished.

    What an accelerator needs: with three seeds one pass has three times the work. On a CPU it is a seventh slower than
    one run after the other, and equal to it: bitwise at the paper's size on one thread, to rounding elsewhere.

    Args:
        trainings: of one model shape and batch size, on one device, each at any step.

    Yields:
        Each run after each of its steps, in turn; what the caller does with it (evaluate, note, save) comes before
        its next step. A run that is finished leaves the stack.

    Raises:
        ValueError: the runs differ in more than data, seed, step sizes and length.
    """
    check_alike(trainings)
    running = [training for training in trainings if not training.finished]
    while running:
        first = running[0]
        stack = ModelStack([t.model for t in running], first.config.max_grad_norm)
        count = len(running)
        while len(running) == count:
            _step(running, stack)
            yield from running
            running = [training for training in running if not training.finished]


def check_alike(trainings: Sequence[Training]) -> None:
    """Do nothing if one pass can serve all.

    Raises:
        ValueError: the runs differ in more than data, seed, step sizes and length; names the settings.
    """
    shared = ("p", "d_model", "n_heads", "n_layers", "d_mlp", "batch_size", "max_grad_norm")
    differing = [name for name in shared if len({getattr(t.config, name) for t in trainings}) > 1]
    if len({len(t.tasks) for t in trainings}) > 1:
        differing.append("the number of operations")
    if differing:
        raise ValueError(f"runs that are trained together must agree in {', '.join(differing)}")


def _step(trainings: Sequence[Training], stack: ModelStack) -> None:
    batches = torch.stack([training.draw() for training in trainings])
    stack.gradients(batches[:, :2], batches[:, 2:])
    for training in trainings:
        training.optimizer.step()
        training.steps += 1


def _check_domains(tasks: tuple[ModularTask, ...]) -> None:
    for task in tasks[1:]:
        if not np.array_equal(task.pairs, tasks[0].pairs):
            raise ValueError(
                f"Training: {tasks[0].name} is defined on {len(tasks[0].pairs)} pairs and {task.name} on "
                f"{len(task.pairs)}; operations that share a trunk need one domain: set nonzero=True"
            )
