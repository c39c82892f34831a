"""Adapters of PEFT: their products are recorded as updates of the base weights, from factors alone."""

import copy
import logging

import numpy as np
import pytest
import torch
import torch.distributed.tensor
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import spectral_edge as se

IDS = torch.randint(0, 50, (8, 12), generator=torch.Generator().manual_seed(0))


def adapted(kind="llama", **settings):
    torch.manual_seed(0)
    if kind == "llama":
        size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        model, targets = LlamaForCausalLM(LlamaConfig(vocab_size=50, **size)), ["q_proj", "v_proj"]
    else:  # keeps its weights the other way round
        model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=4))
        targets = ["c_attn"]
    return get_peft_model(model, LoraConfig(r=3, lora_alpha=12, target_modules=targets, **settings))


def products(model):
    layers = [module for module in model.modules() if hasattr(module, "lora_A") and len(module.lora_A)]
    return torch.cat([layer.get_delta_weight("default").detach().double().flatten() for layer in layers])


def trained(model, steps=14, **settings):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    moments = [products(model)]
    with se.watch(model, optimizer, parameters="lora", window=6, every=2, verbose=False, **settings) as recorder:
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            model(input_ids=IDS, labels=IDS).loss.backward()
            optimizer.step()
            if step % 2 == 0:
                moments.append(products(model))
    assert recorder.stopped is None
    return recorder, torch.stack(moments)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("center", [False, True])
def test_the_edge_is_that_of_the_products(kind, center):
    model = adapted(kind)
    recorder, moments = trained(model)
    dense = (moments[1:] - moments[:-1])[-6:]
    expected, edge = se.spectral_edge(dense, center), recorder.edge(center=center)
    assert edge.singular_values == pytest.approx(expected.singular_values, rel=1e-4, abs=1e-7)
    torch.testing.assert_close(edge.directions(2).double(), expected.directions(2), atol=2e-4, rtol=0)
    torch.testing.assert_close(edge.displacement().double(), moments[-1] - moments[-7], atol=1e-5, rtol=0)
    assert recorder.parameters.dim == dense.shape[1]
    assert all(name.endswith("base_layer.weight") for name in recorder.parameters.names)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_direction_perturbs_the_base_weight(kind):
    model = adapted(kind)
    recorder, _ = trained(model)
    edge = recorder.edge(center=False)
    own = {"parameters": recorder.parameters, "forward": se.token_log_probabilities}
    response = next(se.iterate_responses(model, edge.directions(1), IDS, **own))[0]
    step, values = 1e-3, []
    moved = recorder.parameters.unflatten(edge.directions(1)[0])
    for sign in (1, -1):
        with torch.no_grad():
            for name, delta in moved.items():
                recorder.parameters.parameters[name].add_(sign * step * delta)
            values.append(se.token_log_probabilities(model.eval(), IDS))
            for name, delta in moved.items():
                recorder.parameters.parameters[name].sub_(sign * step * delta)
    expected = (values[0] - values[1]) / (2 * step)
    torch.testing.assert_close(response.reshape(expected.shape), expected, atol=2e-3, rtol=1e-2)


def test_the_weights_of_the_null_are_what_the_adapters_add():
    model = adapted()
    recorder, moments = trained(model)
    theta, edge = moments[-1], recorder.edge(center=False)
    v = edge.directions(1)[0].double()
    cosine = float(v @ theta / theta.norm())
    rows = torch.cat(
        list(se.iterate_random_directions(5, recorder.parameters, "weights", direction=v.float(), seed=1))
    ).double()
    assert (rows @ theta / theta.norm()).numpy() == pytest.approx(np.full(5, cosine), abs=1e-5)
    base = torch.cat([p.detach().double().flatten() for p in recorder.parameters.parameters.values()])
    assert float((rows @ base / base.norm()).abs().max()) < 0.2, "not those of the model below"
    result = se.compare(
        model, edge, IDS, {"size": lambda h: float(h.square().sum())}, parameters=recorder.parameters, k=1, draws=6,
        forward=se.token_log_probabilities, quiet=True,
    )  # fmt: skip
    assert set(result.table["null"]) == {"isotropic", "span", "weights", "blocks"}


def test_a_log_is_of_the_products_and_a_state_continues_it(tmp_path):
    recorder, moments = trained(adapted(), steps=24, run_dir=tmp_path / "run")
    stored = se.Recording(tmp_path / "run")
    assert stored.steps == [12, 24]
    dense = moments[1:] - moments[:-1]
    for step, rows in ((12, dense[:6]), (24, dense[6:])):
        expected = se.spectral_edge(rows, center=False).singular_values
        assert stored.edge(step, center=False).singular_values == pytest.approx(expected, rel=1e-4, abs=1e-7)
    first, second = (se.spectral_edge(rows, center=False).directions(3) for rows in (dense[:6], dense[6:]))
    angle = np.degrees(np.arccos(abs(float(first[0] @ second[0]))))
    assert stored.values[1]["rotation_degrees"] == pytest.approx(angle, abs=0.1)
    drift = 1 - float((first @ second.T).square().sum()) / 3
    assert stored.values[1]["drift"] == pytest.approx(drift, abs=1e-3)
    state = recorder.state_dict()
    with se.watch(
        (model := adapted()), torch.optim.AdamW(p for p in model.parameters() if p.requires_grad), parameters="lora",
        window=6, every=2, verbose=False, run_dir=tmp_path / "run",
    ) as again:  # fmt: skip
        with pytest.raises(ValueError, match="damaged"):
            again.load_state_dict({**state, "edge": state["edge"][:-1]})
        again.load_state_dict(state)
        assert torch.equal(again.edge().directions(1), recorder.edge().directions(1))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_saved_adapters_are_read_as_they_were_recorded(kind, tmp_path):
    model = adapted(kind)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model.save_pretrained(tmp_path / "checkpoint-0")
    with se.watch(model, optimizer, parameters="lora", window=4, every=3, verbose=False) as recorder:
        for step in range(1, 13):
            optimizer.zero_grad()
            model(input_ids=IDS, labels=IDS).loss.backward()
            optimizer.step()
            if step % 3 == 0:
                model.save_pretrained(tmp_path / f"checkpoint-{step}")
    found = se.Recording.from_checkpoints(tmp_path, "lora")
    live, edge = recorder.edge(), found.edge()
    assert edge.singular_values == pytest.approx(live.singular_values, rel=1e-4, abs=1e-7)
    parameters = found.parameters_of(model)
    assert [p.shape for p in parameters.parameters.values()] == list(map(torch.Size, found.config.parameters.values()))
    size = {"size": lambda h: float(h.square().sum())}
    settings = {"nulls": ("isotropic", "weights"), "draws": 4, "k": 1, "forward": se.token_log_probabilities}
    ours = se.compare(model, edge, IDS, size, parameters=parameters, quiet=True, **settings)
    theirs = se.compare(model, live, IDS, size, parameters=recorder.parameters, quiet=True, **settings)
    assert ours.rows[0].measured == pytest.approx(theirs.rows[0].measured, rel=1e-3)
    assert found.values[0]["singular_values"] == pytest.approx(found.edge(center=False).singular_values.tolist())


def test_saved_adapters_that_are_no_products_are_refused(tmp_path):
    for step in range(3):
        adapted(use_dora=step == 2).save_pretrained(tmp_path / f"checkpoint-{step}")
    with pytest.raises(se.store.StoreError, match=r"checkpoint-2.*use_dora"):
        se.Recording.from_checkpoints(tmp_path, "lora")
    (tmp_path / "checkpoint-2" / "adapter_config.json").unlink()
    with pytest.raises(se.store.StoreError, match=r"no adapter_config\.json"):
        se.Recording.from_checkpoints(tmp_path, "lora")
    for step in range(3):
        adapted("gpt2").unload().save_pretrained(tmp_path / "plain" / f"checkpoint-{step}")
    with pytest.raises(se.store.StoreError, match="no LoRA adapters"):
        se.Recording.from_checkpoints(tmp_path / "plain", "lora")


def test_training_is_the_same_with_a_recorder():
    def end(watched):
        model = adapted()
        torch.manual_seed(1)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        recorder = se.watch(model, optimizer, parameters="lora", window=3, verbose=False) if watched else None
        for _ in range(6):
            optimizer.zero_grad()
            model(input_ids=IDS, labels=IDS).loss.backward()
            optimizer.step()
        if recorder is not None:
            recorder.close()
        return [p.detach().clone() for p in model.parameters()]

    assert all(torch.equal(one, other) for one, other in zip(end(True), end(False), strict=True))


def test_what_is_no_product_is_refused_by_name():
    def watch(model, **settings):
        moved = [p for p in model.parameters() if p.requires_grad]
        return se.watch(model, torch.optim.AdamW(moved), parameters="lora", verbose=False, **settings)

    with pytest.raises(ValueError, match="no LoRA adapters"):
        watch(torch.nn.Linear(3, 3))
    with pytest.raises(ValueError, match="DoRA"):
        watch(adapted(use_dora=True))
    merged = adapted()
    merged.merge_adapter()
    with pytest.raises(ValueError, match="unmerge"):
        watch(merged)
    with pytest.raises(ValueError, match="keeps the factors"):
        watch(adapted(), keep_updates=True, run_dir="never")
    frozen = adapted()
    moved = [p for n, p in frozen.named_parameters() if "lora_B" in n]
    with pytest.raises(ValueError, match="in no optimizer"):
        se.watch(frozen, torch.optim.AdamW(moved), parameters="lora", verbose=False)


def test_the_logged_length_of_the_weights_is_that_of_the_products(tmp_path):
    _, moments = trained(adapted(), steps=12, run_dir=tmp_path / "run")
    (line,) = se.Recording(tmp_path / "run").values
    assert line["weight_norm"] == pytest.approx(float(moments[-1].norm()), rel=1e-5)
    lengths = (moments[1:] - moments[:-1]).square().sum(1)
    assert line["update_norm"] == pytest.approx(float(lengths.mean().sqrt()), rel=1e-4)


def test_sharded_adapters_are_refused(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = adapted()
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        layer = next(module for module in model.modules() if hasattr(module, "lora_A") and len(module.lora_A))
        linear = layer.lora_A["default"]
        linear.weight = torch.nn.Parameter(torch.distributed.tensor.distribute_tensor(linear.weight.detach(), mesh))
        with pytest.raises(ValueError, match="sharded over processes"):
            se.watch(model, torch.optim.AdamW(model.parameters()), parameters="lora", verbose=False)
    finally:
        torch.distributed.destroy_process_group()


def test_adapters_merged_in_mid_run_end_the_recording(caplog):
    model = adapted()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    with se.watch(model, optimizer, parameters="lora", window=2, verbose=False) as recorder:
        for step in range(6):
            optimizer.zero_grad()
            model(input_ids=IDS, labels=IDS).loss.backward()
            if step == 4:
                model.merge_adapter()
            with caplog.at_level(logging.WARNING, "spectral_edge"):
                optimizer.step()
            if step == 4:
                model.unmerge_adapter()
        assert "unmerge it" in recorder.stopped
        assert recorder.edge().singular_values.shape == (2,)  # what was recorded before can be read
    assert caplog.text.count("recording stopped at training step 5") == 1


def test_draws_of_the_same_angle_respond_as_the_directions_that_are_drawn():
    """θ of adapters is what they add, and not the base weights, in directions and in responses."""
    model = adapted()
    recorder, _ = trained(model)
    drawn = []

    def remember(direction):
        drawn.append(direction.clone())
        return float(direction.abs().max())

    result = se.compare(
        model, recorder.edge(), IDS, {"largest": se.of_direction(remember), "size": lambda h: float(h.square().sum())},
        parameters=recorder.parameters, forward=se.token_log_probabilities, k=1, nulls="weights", draws=4, quiet=True,
    )  # fmt: skip
    row = next(row for row in result.rows if row.statistic == "size")
    modes = se.functional_modes(
        model, torch.stack(drawn[-4:]), IDS, parameters=recorder.parameters, forward=se.token_log_probabilities,
        method="central_difference",
    )  # fmt: skip
    assert row.values == pytest.approx(modes.response.square().sum((1, 2)).numpy(), rel=1e-2)


def test_an_edge_after_a_state_was_restored_is_not_that_of_the_branch_given_up():
    model = adapted()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)

    def train(steps, sign):
        moments = [products(model)]
        for _ in range(steps):
            optimizer.zero_grad()
            (sign * model(input_ids=IDS, labels=IDS).loss).backward()
            optimizer.step()
            moments.append(products(model))
        return torch.stack(moments).diff(dim=0)

    with se.watch(model, optimizer, parameters="lora", window=4, verbose=False) as recorder:
        train(6, 1)
        saved = copy.deepcopy((recorder.state_dict(), model.state_dict(), optimizer.state_dict()))
        train(4, -1)
        recorder.edge()
        recorder.load_state_dict(saved[0])
        model.load_state_dict(saved[1])
        optimizer.load_state_dict(saved[2])
        updates = train(4, 1)
    expected = se.spectral_edge(updates, center=False)
    assert recorder.edge(center=False).singular_values == pytest.approx(expected.singular_values, rel=1e-4, abs=1e-7)
