"""Lightning, the Trainer of Transformers, Accelerate, PEFT, TensorBoard and W&B, each as it is installed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import spectral_edge as se
from spectral_edge.recording.hugging_face import WatchCallback as TrainerWatch
from spectral_edge.recording.lightning import WatchCallback as LightningWatch
from spectral_edge.recording.trackers import to_tensorboard, to_wandb
from support import frameworks

EXAMPLES = Path(__file__).parents[2] / "examples"
SETTINGS = {"parameters": "weight", "window": 4, "verbose": False}


LOOPS = ("accelerate_loop", "fsdp2", "hugging_face_trainer", "lightning_callback", "plain")


@pytest.mark.parametrize("example", [f"{name}.py" for name in LOOPS])
def test_examples_run_as_they_are(example, tmp_path):
    assert len((EXAMPLES / example).read_text().splitlines()) <= 60
    sharded = example == "fsdp2.py"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if sharded else []
    done = subprocess.run(
        [sys.executable, *launcher, EXAMPLES / example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "SpectralEdge(window=10, centered=True" in done.stdout
    assert "dim=9216, full_dim=18432" in done.stdout if sharded else "FunctionalModes(k=3, inputs=64" in done.stdout
    assert "18,432 parameters in 4 tensors" in done.stderr
    folder = tmp_path / "recordings" / example.removesuffix(".py")
    recording = se.Recording(folder)
    assert recording.steps == [20, 40, 60]  # 60 steps, every 2, windows of 10
    assert recording.values[-1]["rotation_degrees"] > 0
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 60)


def test_the_checkpoints_of_a_trainer_are_enough(tmp_path):
    said = ran("trainer_checkpoints.py", tmp_path)
    assert "Recording(GPT2LMHeadModel, 4 tensors, dim=18432, W=5, every 5 steps)" in said
    assert "log_probability" in said
    stored = se.Recording(tmp_path / "recordings" / "trainer_checkpoints")
    assert stored.steps == [30, 55]  # twelve checkpoints, eleven updates


def test_saved_adapters_have_the_edge_that_was_watched(tmp_path):
    said = ran("lora_adapters.py", tmp_path)
    watched, stored = re.findall(r"sigma_1 ([\d.]+)", said)[::-1]
    assert float(stored) == pytest.approx(float(watched), rel=1e-4)
    assert {"isotropic", "span", "weights", "blocks"} <= set(said.split())
    assert se.Recording(tmp_path / "recordings" / "lora_adapters").values[-1]["noted"]["loss"] > 0


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_shares_of_layers_are_those_of_v1_and_heads_are_said_to_be_unknown(kind):
    torch.manual_seed(0)
    if kind == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=4))
        layers = ["transformer.h.0", "transformer.h.1"]
    else:
        size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        model, layers = LlamaForCausalLM(LlamaConfig(vocab_size=50, **size)), ["model.layers.0", "model.layers.1"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    seen = []
    settings = {"parameters": "attention", "window": 3, "verbose": False}
    with se.watch(model, optimizer, callback=seen.append, **settings) as recorder:
        for _ in range(3):
            ids = torch.randint(0, 50, (4, 12))
            optimizer.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
        v1 = recorder.edge(center=False).directions(1)
    pieces = recorder.parameters.unflatten(v1[0])
    for layer in layers:
        share = sum(float(piece.square().sum()) for name, piece in pieces.items() if name.startswith(f"{layer}."))
        assert seen[-1].layer_shares[layer] == pytest.approx(share, rel=1e-4)
    with pytest.raises(ValueError, match=r"GPT-2, Llama .* are not supported.*layer_shares"):
        se.head_purity(v1, recorder.parameters)


def ran(example, folder):
    done = subprocess.run(
        [sys.executable, EXAMPLES / example], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len((EXAMPLES / example).read_text().splitlines()) <= 60
    return done.stdout


def test_lightning_records_each_training_step_once(tmp_path):
    for n_optimizers, accumulate in ((1, 1), (1, 2), (2, 1)):
        watching = LightningWatch(**SETTINGS)
        frameworks.lightning(tmp_path, 10, [watching], accumulate=accumulate, n_optimizers=n_optimizers)
        assert watching.recorder.stopped is None
        assert watching.recorder.steps == watching.recorder.window.pushed == 10


def test_lightning_resumes_bitwise(tmp_path):
    """All rows in each batch, and no dropout: Lightning restores neither the place in an epoch nor random numbers."""
    settings = SETTINGS | {"every": 3}
    whole, first, second = (LightningWatch(**settings, run_dir=tmp_path / name) for name in ("a", "b", "b"))
    same = {"dropout": 0.0, "batch": frameworks.ROWS}
    frameworks.lightning(tmp_path, 40, [whole], **same)
    frameworks.lightning(tmp_path, 20, [first], **same)
    frameworks.lightning(tmp_path, 40, [second], resume=tmp_path / "lightning_20.ckpt", **same)
    assert second.recorder.stopped is None
    assert second.recorder.steps == 40
    assert torch.equal(second.recorder.window.updates, whole.recorder.window.updates)
    assert second.recorder.edge().singular_values.tolist() == whole.recorder.edge().singular_values.tolist()
    assert (tmp_path / "a" / "metrics.jsonl").read_bytes() == (tmp_path / "b" / "metrics.jsonl").read_bytes()


def test_lightning_numbers_training_steps_with_two_optimizers(tmp_path):
    watching = LightningWatch(**SETTINGS)
    frameworks.lightning(tmp_path, 6, [watching], n_optimizers=2)
    assert watching.recorder.window.steps == [3, 4, 5, 6]


def test_a_second_training_in_the_same_process_starts_anew(tmp_path):
    watching = LightningWatch(**SETTINGS, run_dir=tmp_path / "run")
    frameworks.lightning(tmp_path, 3, [watching])
    first = watching.recorder
    frameworks.lightning(tmp_path, 5, [watching])
    assert first is not watching.recorder
    assert watching.recorder.steps == 5

    trainer_watch = TrainerWatch(**SETTINGS, run_dir=tmp_path / "other")
    trainer, _ = frameworks.hugging_face(tmp_path, 3, [trainer_watch])
    trainer_watch.recorder._closed = False  # as if training had ended by an exception
    trainer.train()
    assert trainer_watch.recorder.steps == 3


def test_two_callbacks_in_one_trainer_have_states_of_their_own(tmp_path):
    pair = [LightningWatch(**SETTINGS), LightningWatch(**(SETTINGS | {"every": 2}))]
    assert pair[0].state_key != pair[1].state_key
    frameworks.lightning(tmp_path, 12, pair)
    assert [one.recorder.window.pushed for one in pair] == [12, 6]


def test_the_trainer_counts_as_it_does_itself(tmp_path):
    watching = TrainerWatch(**SETTINGS)
    frameworks.hugging_face(tmp_path, 12, [watching], accumulate=2, warmup=3)
    recorder = watching.recorder
    assert recorder.stopped is None
    assert recorder.steps == 12
    assert recorder.window.pushed == 11  # the first step of a warm-up has a learning rate of 0
    assert recorder.window.steps == [9, 10, 11, 12]


def test_the_trainer_resumes_bitwise(tmp_path):
    whole = TrainerWatch(**SETTINGS, run_dir=tmp_path / "whole_log")
    frameworks.hugging_face(tmp_path / "whole", 20, [whole])
    first = TrainerWatch(**SETTINGS, run_dir=tmp_path / "parts_log")
    frameworks.hugging_face(tmp_path / "parts", 14, [first])
    second = TrainerWatch(**SETTINGS, run_dir=tmp_path / "parts_log")
    frameworks.hugging_face(tmp_path / "parts", 20, [second], resume=str(tmp_path / "parts" / "checkpoint-10"))
    assert second.recorder.stopped is None
    assert torch.equal(second.recorder.window.updates, whole.recorder.window.updates)
    assert second.recorder.edge().singular_values.tolist() == whole.recorder.edge().singular_values.tolist()
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole_log", "parts_log")]
    assert logs[0] == logs[1]


def test_a_trainer_that_resumes_without_the_state_says_so(tmp_path, caplog):
    frameworks.hugging_face(tmp_path, 10, [])
    watching = TrainerWatch(**SETTINGS)
    frameworks.hugging_face(tmp_path, 16, [watching], resume=str(tmp_path / "checkpoint-10"))
    assert "the window starts empty" in caplog.text
    assert watching.recorder.window.steps == [13, 14, 15, 16]


def test_the_state_of_another_run_is_not_taken(tmp_path, caplog):
    """A checkpoint from elsewhere, and one of the same step in the output folder."""
    ours, theirs = (TrainerWatch(**SETTINGS, run_dir=tmp_path / f"{name}_log") for name in ("ours", "theirs"))
    frameworks.hugging_face(tmp_path / "ours", 10, [ours])
    frameworks.hugging_face(tmp_path / "theirs", 10, [theirs])
    log = (tmp_path / "ours_log" / "metrics.jsonl").read_bytes()
    again = TrainerWatch(**SETTINGS, run_dir=tmp_path / "ours_log")
    frameworks.hugging_face(tmp_path / "ours", 16, [again], resume=str(tmp_path / "theirs" / "checkpoint-10"))
    assert "the window starts empty" in caplog.text
    assert "holds a recording up to step 8 already" in again.recorder.stopped
    assert (tmp_path / "ours_log" / "metrics.jsonl").read_bytes() == log


def test_a_state_that_cannot_be_saved_does_not_end_training(tmp_path, caplog, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spectral_edge.recording.hugging_face.save_file", full)
    watching = TrainerWatch(**SETTINGS)
    frameworks.hugging_face(tmp_path, 12, [watching])
    assert watching.recorder.steps == 12
    assert "could not be saved" in caplog.text


def test_accelerate_records_between_synchronisations_and_resumes(tmp_path):
    def watch(model, optimizer):
        return se.watch(model, optimizer, **SETTINGS)

    saved = []

    def save(accelerator, step):
        if step == 8:
            accelerator.save_state(tmp_path / "state")
            saved.append(accelerator._custom_objects[0].window.updates)

    _, _, _, whole = frameworks.accelerate(12, watch, between=save)
    assert whole.steps == whole.window.pushed == 12

    def load(accelerator, step):
        if step == 1:
            accelerator.load_state(tmp_path / "state")
            recorder = accelerator._custom_objects[0]
            assert recorder.window.steps == [5, 6, 7, 8]
            assert torch.equal(recorder.window.updates, saved[0])

    _, _, _, resumed = frameworks.accelerate(3, watch, between=load)
    assert resumed.stopped is None
    assert resumed.window.steps == [7, 8, 9, 10]
    assert torch.equal(resumed.window.updates[:2], saved[0][2:])


@pytest.mark.parametrize("framework", ["lightning", "hugging_face", "accelerate"])
def test_training_in_a_framework_is_bitwise_the_same(framework, tmp_path):
    """200 steps: parameters, optimizer state, random numbers, losses."""

    def outcome(watched):
        if framework == "lightning":
            watching = LightningWatch(**SETTINGS)
            module = frameworks.lightning(tmp_path, 200, [watching] if watched else [])
            optimizer = module.trainer.optimizers[0]
            model, losses, recorder = module, module.losses, watching.recorder
        elif framework == "hugging_face":
            watching = TrainerWatch(**SETTINGS)
            trainer, losses = frameworks.hugging_face(tmp_path, 200, [watching] if watched else [])
            model, optimizer, recorder = trainer.model, trainer.optimizer.optimizer, watching.recorder
        else:
            watch = (lambda m, o: se.watch(m, o, **SETTINGS)) if watched else None
            model, optimizer, losses, recorder = frameworks.accelerate(200, watch)
        if watched:
            assert recorder.stopped is None
            assert recorder.steps == 200
        moments = [v for state in optimizer.state_dict()["state"].values() for v in state.values()]
        return losses, [*model.state_dict().values(), *moments, torch.get_rng_state()]

    (losses, tensors), (watched_losses, watched_tensors) = outcome(False), outcome(True)
    assert len(losses) >= 200
    assert losses == watched_losses
    assert all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(tensors, watched_tensors, strict=True)
    )


def test_lora_records_the_adapters_only():
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    model = get_peft_model(
        GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=8, n_embd=16, n_layer=1, n_head=2)),
        LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True),
    )
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    tokens = torch.arange(8)[None]
    with se.watch(model, optimizer, parameters="attention", window=3, verbose=False) as recorder:
        for _ in range(4):
            optimizer.zero_grad()
            model(input_ids=tokens, labels=tokens).loss.backward()
            optimizer.step()
    assert all("lora_" in name for name in recorder.parameters.names)
    assert recorder.parameters.dim == 2 * 16 + 48 * 2
    modes = se.functional_modes(
        model,
        recorder.edge().directions(1),
        tokens,
        parameters=recorder.parameters,
        forward=lambda m, x: m(input_ids=x).logits[:, -1],
    )
    assert modes.method == "jvp"
    assert modes.energy.shape == (1, 1)
    assert float(modes.energy) > 0


def values_of_a_run(callback):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []

    def both(values):
        seen.append(values)
        callback(values)

    with se.watch(model, optimizer, parameters="weight", window=2, callback=both, verbose=False) as recorder:
        for _ in range(6):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
    assert recorder.stopped is None
    return seen


def test_tensorboard_has_the_values_at_their_steps(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        seen = values_of_a_run(to_tensorboard(writer))
    events = EventAccumulator(str(tmp_path)).Reload()
    found = [(event.step, event.value) for event in events.Scalars("spectral_edge/sigma_1")]
    assert [step for step, _ in found] == [2, 4, 6]
    assert [value for _, value in found] == pytest.approx([values.singular_values[0] for values in seen])
    assert "spectral_edge/step" not in events.Tags()["scalars"]


def test_wandb_offline_keeps_the_users_own_steps(tmp_path, monkeypatch):
    import wandb

    monkeypatch.chdir(tmp_path)
    logged = []
    with wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(silent=True)) as run:
        log = to_wandb(run)

        def and_log_yours(values):
            log(values)
            logged.append(run.step)
            run.log({"loss": float(values.step)}, step=len(logged))

        seen = values_of_a_run(and_log_yours)
        run.log({"loss": 0.0}, step=10)  # sends what was logged before
        summary = dict(run.summary)
    assert len(seen) == 3
    assert logged == [0, 1, 2]  # ours moved nothing: W&B drops what comes with a step that is past
    assert summary["spectral_edge/step"] == 6
    assert summary["spectral_edge/sigma_1"] == pytest.approx(seen[-1].singular_values[0])
    assert summary["loss"] == 6.0
