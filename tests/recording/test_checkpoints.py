"""Checkpoints on disk give what a live recording of the same training gives, a piece in memory at a time."""

import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import spectral_edge as se


class Attention(nn.Module):
    """Projections whose order in the model is not that of their names."""

    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(4, 6, bias=False), nn.Linear(4, 6, bias=False)
        self.v_proj, self.o_proj = nn.Linear(4, 6, bias=False), nn.Linear(6, 4, bias=False)

    def forward(self, x):
        return self.o_proj(torch.tanh(self.q_proj(x) * self.k_proj(x)) + self.v_proj(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"self_attn": Attention()}) for _ in range(11))
        self.scale = nn.Parameter(torch.ones(3, 2, 2))
        self.bias = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer["self_attn"](x)
        return x * self.scale.mean() + self.bias


def trained(folder, steps=24, save=3, dtype=None, **settings):
    """Train, record live and leave a checkpoint every ``save`` steps, the first before training."""
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    x = torch.randn(32, 4)
    save_file(model.state_dict(), folder / "checkpoint-0.safetensors")
    with se.watch(model, optimizer, every=save, verbose=False, **settings) as recorder:
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            (model(x) - x.flip(1)).square().mean().backward()
            optimizer.step()
            if step % save == 0:
                save_file(model.state_dict(), folder / f"checkpoint-{step}.safetensors")
    return model, recorder


@pytest.mark.parametrize("parameters", ["attention", "."])
@pytest.mark.parametrize("center", [False, True])
def test_spectra_directions_and_values_are_those_of_a_live_recording(tmp_path, parameters, center):
    (tmp_path / "saved").mkdir()
    settings = {"parameters": parameters, "window": 4}
    model, live = trained(tmp_path / "saved", run_dir=tmp_path / "live", keep_updates=True, **settings)
    found = se.Recording.from_checkpoints(tmp_path / "saved", parameters, model=model, window=4)
    stored = se.Recording(tmp_path / "live")
    assert found.steps == stored.steps == [12, 15, 18, 21, 24]
    assert found.config.every == 3
    assert found.parameters_of(model).names == live.parameters.names
    for step in found.steps:
        expected, edge = stored.edge(step, center=center), found.edge(step, center=center)
        assert edge.singular_values == pytest.approx(expected.singular_values, rel=1e-5, abs=1e-9)
        assert edge.position == expected.position
        torch.testing.assert_close(edge.directions(2), expected.directions(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(edge.displacement(), expected.displacement(), atol=1e-6, rtol=0)
    for one, other in zip(found.values, stored.values, strict=True):
        assert one.keys() == other.keys()
        for name in ("step", "first_step", "position"):
            assert one[name] == other[name]
        np.testing.assert_allclose(one["gram_matrix"], other["gram_matrix"], rtol=1e-5)
        assert one["eigengaps"] == pytest.approx(other["eigengaps"], rel=1e-4)
        for name in ("rotation_degrees", "drift"):
            assert one[name] == (None if other[name] is None else pytest.approx(other[name], abs=1e-2))


def test_any_window_can_be_asked_for(tmp_path):
    model, _ = trained(tmp_path, window=2)
    found = se.Recording.from_checkpoints(tmp_path, model=model)
    assert repr(found) == "Recording(Model, 44 tensors, dim=1056, W=8, every 3 steps)"
    expected = se.Recording.from_checkpoints(tmp_path, model=model, window=3).edge(18)
    assert found.edge(18, window=3).singular_values == pytest.approx(expected.singular_values, rel=1e-12)
    with pytest.raises(se.store.StoreError, match="no window of 9 updates"):
        found.edge(window=9)
    with pytest.raises(ValueError, match="at least 2"):
        found.edge(window=1)


def test_uneven_steps_become_rates_and_say_so(tmp_path, caplog):
    trained(tmp_path, window=2)
    kept = [tmp_path / f"checkpoint-{step}.safetensors" for step in (0, 3, 9, 12, 24)]
    with caplog.at_level(logging.WARNING, "spectral_edge"):
        found = se.Recording.from_checkpoints(kept)
    assert "3 to 12 training steps apart" in caplog.text
    assert found.config.every is None
    names = list(found.config.parameters)
    weights = [torch.cat([_load(path)[name].flatten() for name in names]).double() for path in kept]
    rates = torch.stack([(b - a) / n for a, b, n in zip(weights, weights[1:], (3, 6, 3, 12), strict=False)])
    expected = se.spectral_edge(rates)
    edge = found.edge()
    assert edge.singular_values == pytest.approx(expected.singular_values, rel=1e-9, abs=1e-12)
    torch.testing.assert_close(edge.directions(2).double(), expected.directions(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(edge.displacement().double(), weights[-1] - weights[0], atol=1e-7, rtol=0)


def _load(path):
    from safetensors.torch import load_file

    return load_file(path)


def test_an_edge_in_the_order_of_names_is_refused_until_it_gets_its_own_parameters(tmp_path):
    model, live = trained(tmp_path, window=8)
    found = se.Recording.from_checkpoints(tmp_path)  # without a model: by name, k before o before q
    assert next(iter(found.config.parameters)) == "layers.0.self_attn.k_proj.weight"
    assert list(found.config.parameters)[-1] == "layers.10.self_attn.v_proj.weight"
    x = torch.randn(16, 4)
    norm = {"size": lambda h: float(h.square().sum())}
    with pytest.raises(ValueError, match="another order"):
        se.compare(model, found.edge(), x, norm, nulls="isotropic", draws=4, k=1)
    for given in (found.edge(), live.edge().in_layout(tuple(found.config.parameters))):
        with pytest.raises(ValueError, match="another order"):  # directions of one's own do not hide the window's
            se.explained_change(
                model, given, x, forward=lambda m, x: m(x), parameters=live.parameters, directions=torch.eye(1056)[:1]
            )
    with pytest.raises(ValueError, match="another order"):
        list(se.iterate_random_directions(2, live.parameters, "span", edge=found.edge()))
    ordered = se.compare(
        model, found.edge(), x, norm, parameters=found.parameters_of(model), nulls="isotropic", draws=4, k=1, quiet=True
    )
    expected = se.compare(model, live.edge(), x, norm, nulls="isotropic", draws=4, k=1, quiet=True)
    assert ordered.rows[0].measured == pytest.approx(expected.rows[0].measured, rel=1e-4)


def test_a_saved_recording_has_the_same_spectra(tmp_path):
    (tmp_path / "c").mkdir()
    trained(tmp_path / "c", window=2)
    found = se.Recording.from_checkpoints(tmp_path / "c", window=4)
    again = se.Recording(found.save(tmp_path / "saved"))
    assert again.values == found.values
    assert again.edge(24).singular_values == pytest.approx(found.edge(24).singular_values, rel=1e-12)
    with pytest.raises(se.store.StoreError, match="updates are not kept"):
        again.edge(24).directions(1)
    with pytest.raises(se.store.StoreError, match="holds a recording already"):
        found.save(tmp_path / "saved")


def write(folder, name, **tensors):
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: torch.as_tensor(value) for key, value in tensors.items()}, folder / f"{name}.safetensors")


def test_a_checkpoint_may_be_cut_into_files_that_an_index_names(tmp_path):
    torch.manual_seed(1)
    for step in range(4):
        parts = {name: torch.randn(3, 5) for name in ("a.attn.weight", "b.attn.weight")}
        save_file(parts, tmp_path / f"whole-{step}.safetensors")
        folder = tmp_path / "cut" / f"step{step}"
        for number, (name, value) in enumerate(parts.items()):
            write(folder, f"model-{number}", **{name: value})
        index = {"weight_map": {name: f"model-{number}.safetensors" for number, name in enumerate(parts)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    whole = se.Recording.from_checkpoints([tmp_path / f"whole-{step}.safetensors" for step in range(4)])
    cut = se.Recording.from_checkpoints(tmp_path / "cut")
    assert cut.edge().singular_values == pytest.approx(whole.edge().singular_values, rel=1e-12)


@pytest.fixture
def three(tmp_path):
    for step in (1, 2, 3):
        write(tmp_path, f"c{step}", **{"x.attn.weight": torch.full((2, 2), float(step**2))})
    return tmp_path


def test_what_cannot_be_a_trajectory_is_named(three):
    def given(**settings):
        return se.Recording.from_checkpoints(three, **settings)

    assert given().steps == [3]
    with pytest.raises(ValueError, match="mixer"):
        given(parameters="mixer")
    with pytest.raises(ValueError, match="predicate"):
        given(parameters=lambda name, parameter: True)
    with pytest.raises(ValueError, match="2 numbers for 3"):
        given(steps=[1, 2])
    with pytest.raises(ValueError, match="step 5"):
        given(steps=[5, 5, 6])
    with pytest.raises(ValueError, match="choose 2 to 2"):
        given(window=3)
    with pytest.raises(ValueError, match="at least 3"):
        se.Recording.from_checkpoints([three / "c1.safetensors", three / "c2.safetensors"])
    with pytest.raises(ValueError, match="no number"):
        se.Recording.from_checkpoints(_renamed(three, ["a", "b", "c"]))


def _renamed(folder, names):
    for old, new in zip(sorted(folder.glob("*.safetensors")), names, strict=True):
        old.rename(folder / f"{new}.safetensors")
    return [folder / f"{name}.safetensors" for name in names]


@pytest.mark.parametrize(
    ("third", "problem"),
    [
        ({"x.attn.weight": torch.zeros(2, 3)}, r"\(2, 3\), but \(2, 2\)"),
        ({"y.attn.weight": torch.zeros(2, 2)}, "missing, but"),
        ({"x.attn.weight": torch.full((2, 2), 4.0)}, "hold the same weights"),
        ({"x.attn.weight": torch.full((2, 2), torch.nan)}, "NaN"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(three, third, problem):
    write(three, "c3", **third)
    with pytest.raises((ValueError, se.store.StoreError), match=problem) as raised:
        se.Recording.from_checkpoints(three).edge()
    assert "c3" in str(raised.value)


def test_pickles_are_never_read(three, tmp_path):
    torch.save({"x.attn.weight": torch.zeros(2, 2)}, three / "c4.pt")
    with pytest.raises(se.store.StoreError, match="a pickle can run any code"):
        se.Recording.from_checkpoints([*three.glob("*.safetensors"), three / "c4.pt"])
    (three / "c5.safetensors").write_bytes((three / "c4.pt").read_bytes())
    with pytest.raises(se.store.StoreError, match=r"c5\.safetensors"):
        se.Recording.from_checkpoints(three)


def test_an_index_cannot_lead_out_of_its_folder(three):
    folder = three / "cut" / "step9"
    folder.mkdir(parents=True)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../../c1.safetensors"}}))
    with pytest.raises(se.store.StoreError, match="does not lie beside it"):
        se.Recording.from_checkpoints([folder, *three.glob("*.safetensors")])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "gone.safetensors"}}))
    with pytest.raises(se.store.StoreError, match="is missing"):
        se.Recording.from_checkpoints([folder, *three.glob("*.safetensors")])


def test_an_index_says_which_of_two_files_has_a_tensor_and_what_is_lacking(three, caplog):
    folder = three / "cut" / "step9"
    write(folder, "model-1", **{"x.attn.weight": torch.full((2, 2), 81.0)})
    write(folder, "model-2", **{"x.attn.weight": torch.zeros(2, 2), "y.attn.weight": torch.ones(2, 2)})
    index = {"x.attn.weight": "model-1.safetensors", "z.attn.weight": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    places = [folder, *sorted(three.glob("*.safetensors"))]
    recording = se.Recording.from_checkpoints(places, parameters="x.attn", steps=[4, 1, 2, 3])
    whole = torch.tensor([1.0, 4.0, 9.0, 81.0]).repeat(4, 1).T
    expected = torch.linalg.svdvals(whole.diff(dim=0).double() - whole.diff(dim=0).double().mean(0))
    assert recording.edge().singular_values[:1] == pytest.approx(expected[:1].tolist(), rel=1e-12)
    assert "lack 1 of the tensors in its index, such as 'z.attn.weight' in model-2.safetensors" in caplog.text


def test_a_checkpoint_that_is_given_twice_is_refused_by_name(tmp_path):
    paths = [tmp_path / f"checkpoint-{i}.safetensors" for i in range(3)]
    for path in paths:
        save_file({"w": torch.randn(4, 5)}, path)
    with pytest.raises(ValueError, match=r"checkpoint-0\.safetensors is given 2 times"):
        se.Recording.from_checkpoints([paths[0], *paths], parameters=".", steps=[0, 1, 2, 3])
