"""Watch a small language model in Lightning: one callback, whose state is in every checkpoint."""

import pydoc_data.topics

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

import spectral_edge as se
from spectral_edge.recording.lightning import WatchCallback

text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))
config = GPT2Config(vocab_size=128, n_positions=32, n_embd=48, n_layer=2, n_head=4)


class LanguageModel(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.gpt = GPT2LMHeadModel(config)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        loss = self.gpt(batch[0], labels=batch[0]).loss
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def last_residual(model: nn.Module, tokens: Tensor) -> Tensor:
    return model.gpt.transformer(tokens).last_hidden_state[:, -1]


pl.seed_everything(0, verbose=False)
data = TensorDataset(text[: 32 * 1000].view(-1, 32))
watching = WatchCallback(parameters="attention", window=10, every=2, run_dir="recordings/lightning_callback")
trainer = pl.Trainer(
    max_steps=60,
    accumulate_grad_batches=2,
    callbacks=[watching],
    accelerator="cpu",
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
model = LanguageModel()
trainer.fit(model, DataLoader(data, batch_size=8, shuffle=True))

edge = watching.recorder.edge()
modes = se.functional_modes(model, edge.directions(3), data.tensors[0][:64], forward=last_residual)
print(f"loss {trainer.callback_metrics['loss']:.2f}; {edge}")
print(f"{modes}; mean of f1…f3 over inputs: {modes.energy.mean(1).numpy().round(3)}")
