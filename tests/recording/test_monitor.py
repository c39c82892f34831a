"""What is watched beside a spectrum, against numbers taken from the model itself."""

import json

import pytest
import torch
from torch import nn

import spectral_edge as se
from spectral_edge.parameters import layer_of, layer_sizes


def model_of():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "embed": nn.Linear(4, 6),
            "layers": nn.ModuleList(nn.Linear(6, 6) for _ in range(2)),
            "head": nn.Linear(6, 3, bias=False),
        }
    )


def forward(model, x):
    x = model["embed"](x)
    for layer in model["layers"]:
        x = torch.tanh(layer(x))
    return model["head"](x)


def recorded(folder, steps=8, noted=True, **settings):
    model, x = model_of(), torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for n, p in model.named_parameters() if "bias" in n], "lr": 0.5},
            {"params": [p for n, p in model.named_parameters() if "bias" not in n], "lr": 0.02},
        ],
        weight_decay=0.3,
    )
    losses, weights, rates = [], [], []
    settings = {"parameters": "weight", "window": 4, "run_dir": folder, "verbose": False} | settings
    with se.watch(model, optimizer, **settings) as recorder:
        weights.append(recorder.parameters.flatten().clone())
        for step in range(steps):
            optimizer.param_groups[1]["lr"] = 0.02 / (1 + step)
            optimizer.zero_grad()
            loss = forward(model, x).square().mean()
            loss.backward()
            if noted:
                recorder.note(loss=loss, tokens=64)
            optimizer.step()
            losses.append(float(loss.detach()))
            weights.append(recorder.parameters.flatten().clone())
            rates.append(optimizer.param_groups[1]["lr"])
    assert recorder.stopped is None
    return recorder, losses, torch.stack(weights).double(), rates


def test_norms_rates_and_losses_are_those_of_the_training(tmp_path):
    _, losses, weights, rates = recorded(tmp_path / "run")
    lines = se.Recording(tmp_path / "run").values
    updates = weights[1:] - weights[:-1]
    for number, line in enumerate(lines, start=1):
        end = 4 * number
        assert line["weight_norm"] == pytest.approx(float(weights[end].norm()), rel=1e-6)
        assert line["update_norm"] == pytest.approx(
            float(updates[end - 4 : end].square().sum(1).mean().sqrt()), rel=1e-5
        )
        assert line["learning_rate"] == pytest.approx(rates[end - 1]), "not that of the biases, which are not recorded"
        # A loss is noted before its step is recorded: the first window has four, so has each after it.
        assert line["noted"] == {"loss": pytest.approx(sum(losses[end - 4 : end]) / 4), "tokens": 64.0}
    assert len(lines) == 2


def test_shares_of_v1_by_layer_add_up_and_their_null_is_the_share_of_entries(tmp_path):
    recorder, *_ = recorded(tmp_path / "run")
    line = se.Recording(tmp_path / "run").values[-1]
    v1 = recorder.parameters.unflatten(recorder.edge(center=False).directions(1)[0].double())
    expected = {
        "embed": v1["embed.weight"].square().sum(), "layers.0": v1["layers.0.weight"].square().sum(),
        "layers.1": v1["layers.1.weight"].square().sum(), "head": v1["head.weight"].square().sum(),
    }  # fmt: skip
    assert line["layer_shares"] == {name: pytest.approx(float(share), rel=1e-4) for name, share in expected.items()}
    assert sum(line["layer_shares"].values()) == pytest.approx(1, rel=1e-5)
    sizes = layer_sizes(se.Recording(tmp_path / "run").config.parameters)
    assert sizes == {"embed": 24 / 114, "layers.0": 36 / 114, "layers.1": 36 / 114, "head": 18 / 114}
    drawn = torch.cat(list(se.iterate_random_directions(400, recorder.parameters))).square()
    assert float(drawn[:, :24].sum(1).mean()) == pytest.approx(sizes["embed"], abs=0.01)
    assert layer_of("model.layers.12.self_attn.q_proj.weight") == "model.layers.12"


def test_the_share_of_decay_is_that_of_both_parts(tmp_path):
    recorder, *_ = recorded(tmp_path / "run", decay=True)
    line = se.Recording(tmp_path / "run").values[-1]
    window, part = recorder.window.updates, recorder._kept.decay.window.updates
    v1 = recorder.edge(center=False).directions(1)
    expected = 1 - se.spectrum.gradient_share(v1, window - part, part)[0]
    assert line["decay_share"] == pytest.approx(float(expected), rel=1e-4)
    assert 0 < line["decay_share"] < 1


def test_trackers_get_flat_names_of_what_is_known(tmp_path):
    seen = []
    recorded(tmp_path / "run", callback=seen.append)
    named = seen[-1].scalars()
    assert named["update_ratio"] == pytest.approx(seen[-1].update_norm / seen[-1].weight_norm)
    assert {"weight_norm", "update_norm", "learning_rate", "loss", "share/layers.0"} <= set(named)
    assert "decay_share" not in named
    seen.clear()
    recorded(tmp_path / "sketch", callback=seen.append, storage="sketch", noted=False)
    assert seen[-1].layer_shares is None
    assert seen[-1].update_norm > 0
    assert json.loads((tmp_path / "sketch" / "metrics.jsonl").read_text().splitlines()[-1])["noted"] == {}


def test_what_is_noted_cannot_disturb_training(tmp_path):
    recorder, *_ = recorded(tmp_path / "run")
    recorder.note(loss="no number")
    assert "could not convert" in recorder.stopped


def noting():
    torch.manual_seed(0)
    model, seen = nn.Linear(4, 1), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def watched():
        return se.watch(model, optimizer, parameters=".", window=4, verbose=False, callback=seen.append)

    def step(recorder, *losses, **others):
        for loss in losses:
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            recorder.note(loss=loss, **others)
            optimizer.step()

    return watched, step, seen


def test_notes_are_part_of_the_state():
    watched, step, seen = noting()
    with watched() as recorder:
        step(recorder, 1.0, torch.tensor(2.0))
        state = recorder.state_dict()
        step(recorder, 1000.0)  # a branch that is given up
        recorder.load_state_dict(state)
        step(recorder, 3.0, 4.0)
        assert seen[-1].noted == {"loss": 2.5}
        assert not [name for name in recorder.state_dict() if name.startswith("noted.")]
    with watched() as again:
        again.load_state_dict(state)
        step(again, 5.0, 6.0)
    assert seen[-1].noted == {"loss": 3.5}


def test_a_running_sum_is_read_when_it_is_noted():
    watched, step, seen = noting()
    total = torch.zeros(())
    with watched() as recorder:
        for _ in range(4):
            total += 1
            step(recorder, total)
    assert seen[-1].noted == {"loss": 2.5}


def test_a_note_does_not_take_the_place_of_a_column():
    watched, step, seen = noting()
    with watched() as recorder:
        step(recorder, 1.0, 1.0, 1.0, 1.0, step=77, position=99)
    scalars = seen[-1].scalars()
    assert (scalars["step"], scalars["noted/step"], scalars["noted/position"]) == (4, 77, 99)
    assert scalars["position"] == seen[-1].position


def test_a_note_of_several_numbers_is_refused_by_name():
    watched, _, _ = noting()
    with watched() as recorder:
        with pytest.raises(ValueError, match=r"per_example is a tensor of shape \(8,\)"):
            recorder.note(per_example=torch.ones(8))
        assert recorder.stopped is None
