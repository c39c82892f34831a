"""Watch GPT-2 in the Trainer of Transformers: one callback, whose state is saved beside every checkpoint."""

import pydoc_data.topics

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

import spectral_edge as se
from spectral_edge.recording.hugging_face import WatchCallback

text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))
windows = text[: 32 * 1000].view(-1, 32)
data = [{"input_ids": tokens, "labels": tokens} for tokens in windows]


def last_residual(model: nn.Module, tokens: Tensor) -> Tensor:
    return model.transformer(tokens).last_hidden_state[:, -1]


set_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=32, n_embd=48, n_layer=2, n_head=4))
watching = WatchCallback(parameters="attention", window=10, every=2, run_dir="recordings/hugging_face_trainer")
trainer = Trainer(
    model,
    TrainingArguments(
        output_dir="trainers/hugging_face_trainer",
        max_steps=60,
        save_steps=30,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        learning_rate=3e-3,
        warmup_steps=5,  # starts at a learning rate of 0: that step moves nothing and is no update
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    ),
    train_dataset=data,
    callbacks=[watching],
)
result = trainer.train()

edge = watching.recorder.edge()
modes = se.functional_modes(model, edge.directions(3), windows[:64], forward=last_residual)
print(f"loss {result.training_loss:.2f}; {edge}")
print(f"{modes}; mean of f1…f3 over inputs: {modes.energy.mean(1).numpy().round(3)}")
