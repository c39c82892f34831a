"""Nobody watched this training, and its checkpoints are enough: the spectrum of the updates between them."""

import pydoc_data.topics

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

import spectral_edge as se

text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))
windows = text[: 32 * 1000].view(-1, 32)
data = [{"input_ids": tokens, "labels": tokens} for tokens in windows]


class Characters:
    """A tokenizer whose tokens are ASCII codes."""

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


set_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=32, n_embd=48, n_layer=2, n_head=4))
trainer = Trainer(
    model,
    TrainingArguments(
        output_dir="trainers/checkpoints",
        max_steps=60,
        save_steps=5,
        save_only_model=True,
        per_device_train_batch_size=8,
        learning_rate=3e-3,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    ),
    train_dataset=data,
)
trainer.train()

recording = se.Recording.from_checkpoints("trainers/checkpoints", parameters="attention", window=5)
edge = recording.edge()
held = windows[-64:]
last = GPT2LMHeadModel.from_pretrained("trainers/checkpoints/checkpoint-60")
modes = se.token_modes(last, edge.directions(3), held, parameters=recording.parameters_of(last))
recording.save("recordings/trainer_checkpoints")  # for spectral-edge report and serve
print(recording, edge, sep="\n")
print(modes.top(direction=1, n=5, tokenizer=Characters()))
