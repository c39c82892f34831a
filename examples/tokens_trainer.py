"""Fine-tune a GPT-2 in the Trainer of Transformers, then see which tokens the last hundred steps changed."""

import json.decoder
import pydoc_data.topics
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer
from transformers import (
    DataCollatorForLanguageModeling,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

import spectral_edge as se
from spectral_edge.recording.hugging_face import WatchCallback

prose, code = "".join(pydoc_data.topics.topics.values()), Path(json.decoder.__file__).read_text()
words = ByteLevelBPETokenizer()
words.train_from_iterator([prose, code], vocab_size=500, special_tokens=["<pad>"], show_progress=False)
set_seed(0)
# Yours: AutoTokenizer.from_pretrained(…) and AutoModelForCausalLM.from_pretrained(…).
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words._tokenizer, pad_token="<pad>")
small = GPT2Config(vocab_size=500, n_positions=64, n_embd=48, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
model = GPT2LMHeadModel(small)


def passages(text: str) -> list[dict[str, list[int]]]:
    cut = [text[start : start + 120] for start in range(0, min(len(text), 60_000), 120)]
    return [dict(tokenizer(passage, truncation=True, max_length=64)) for passage in cut]


def fit(text: list[dict[str, list[int]]], steps: int, callbacks: list[WatchCallback]) -> None:
    settings = TrainingArguments(
        output_dir="trainer", max_steps=steps, per_device_train_batch_size=8, learning_rate=2e-3, save_strategy="no",
        report_to="none", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    Trainer(model, settings, train_dataset=text, data_collator=collate, callbacks=callbacks).train()


collate = DataCollatorForLanguageModeling(tokenizer, mlm=False)
fit(passages(prose), 100, [])
new = passages(code)
watching = WatchCallback(parameters="attention", window=20, every=5, run_dir="recordings/tokens_trainer")
fit(new[::2], 100, [watching])

recorder, held_out = watching.recorder, collate(new[1:65:2])
modes = se.token_modes(model, recorder.edge(center=False), held_out, parameters=recorder.parameters, k=3)
print(modes)
print(modes.top(direction=1, n=6, tokenizer=tokenizer).select("token", "signed", "sensitivity", "context"))
print(modes.html("tokens.html", tokenizer))
