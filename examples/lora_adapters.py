"""Watch what low-rank adapters add to a model, and read the same again from the adapters that were saved."""

import pydoc_data.topics

import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, set_seed

import spectral_edge as se

text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode("ascii", "ignore")))
windows = text[: 32 * 1000].view(-1, 32)

set_seed(0)
base = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=32, n_embd=48, n_layer=2, n_head=4))
model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn", "c_proj"]))
optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2)

with se.watch(model, optimizer, parameters="lora", window=5, every=4, run_dir="recordings/lora_adapters") as recorder:
    model.save_pretrained("adapters/step-0")
    for step in range(1, 41):
        batch = windows[torch.randint(len(windows), (8,))]
        loss = model(input_ids=batch, labels=batch).loss
        recorder.note(loss=loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 4 == 0:
            model.save_pretrained(f"adapters/step-{step}")

edge = recorder.edge()
stored = se.Recording.from_checkpoints("adapters", parameters="lora", window=5).edge()
print(edge, f"from saved adapters: sigma_1 {stored.singular_values[0]:.6g}", sep="\n")

# The directions live in the base weights, so anything that takes directions takes them.
statistic = {"norm": lambda response: float(response.norm())}
result = se.compare(
    model, edge, windows[:64], statistic, parameters=recorder.parameters, forward=se.token_log_probabilities, draws=20
)
print(f"sigma_1 {edge.singular_values[0]:.6g}", result.table.select("direction", "null", "effect"), sep="\n")
