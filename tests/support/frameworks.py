"""Small models and data for the real frameworks, the same with and without a recorder."""

import lightning.pytorch as pl
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

ROWS, BATCH = 64, 8


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(ROWS, 4, generator=generator))


class Net(nn.Module):
    """Returns a loss the way that Transformers' models do."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(dropout), nn.Linear(6, 3))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        return {"loss": self.layers(x).square().mean()}


class Module(pl.LightningModule):
    def __init__(self, n_optimizers: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        self.net = Net(dropout)
        self.losses: list[float] = []
        self.automatic_optimization = n_optimizers == 1
        self.n_optimizers = n_optimizers

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        loss = self.net(batch[0])["loss"]
        self.losses.append(float(loss.detach()))
        if not self.automatic_optimization:
            self.manual_backward(loss)
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()
        return loss

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        if self.n_optimizers == 1:
            return [torch.optim.AdamW(self.parameters(), lr=1e-2)]
        first, last = self.net.layers[0], self.net.layers[3]
        return [torch.optim.AdamW(part.parameters(), lr=1e-2) for part in (first, last)]


def lightning(
    folder,
    steps: int,
    callbacks: list[pl.Callback],
    resume=None,
    accumulate: int = 1,
    n_optimizers: int = 1,
    dropout: float = 0.1,
    batch: int = BATCH,
) -> Module:
    pl.seed_everything(0, verbose=False)
    module = Module(n_optimizers, dropout)
    trainer = pl.Trainer(
        max_steps=steps * n_optimizers,
        accumulate_grad_batches=accumulate,
        callbacks=callbacks,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(data(), batch_size=batch), ckpt_path=resume)
    if resume is None:
        trainer.save_checkpoint(folder / f"lightning_{steps}.ckpt")
    return module


class Losses(TrainerCallback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if "loss" in logs:
            self.values.append(float(logs["loss"]))


def hugging_face(folder, steps: int, callbacks: list[TrainerCallback], resume=None, accumulate: int = 1, warmup=0):
    set_seed(0)
    model = Net()
    losses = Losses()
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(folder),
            max_steps=steps,
            save_steps=10,
            logging_steps=1,
            per_device_train_batch_size=BATCH,
            gradient_accumulation_steps=accumulate,
            learning_rate=1e-2,
            warmup_steps=warmup,
            lr_scheduler_type="constant_with_warmup",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=[{"x": row, "labels": row} for (row,) in data()],
        callbacks=[losses, *callbacks],
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer, losses.values


def accelerate(steps: int, watch=None, accumulate: int = 2, between=lambda accelerator, step: None):
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model, optimizer, loader = accelerator.prepare(model, optimizer, DataLoader(data(), batch_size=BATCH))
    recorder = None if watch is None else watch(model, optimizer)
    if recorder is not None:
        accelerator.register_for_checkpointing(recorder)
    losses, step = [], 0
    while step < steps:
        for (x,) in loader:
            with accelerator.accumulate(model):
                loss = model(x)["loss"]
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(float(loss.detach()))
            if accelerator.sync_gradients:
                step += 1
                between(accelerator, step)
                if step == steps:
                    break
    return model, optimizer, losses, recorder
