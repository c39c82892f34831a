"""Memory, bfloat16, files and sketches hold the same window, within what each can resolve."""

import numpy as np
import pytest
import torch

import spectral_edge as se
from support.loops import plain


def recorded(tmp_path, storage, steps=9, window=4, **settings):
    loop = plain()
    folder = tmp_path / storage if storage in ("disk", "sketch") else None
    recorder = se.watch(
        loop.model,
        loop.optimizers,
        parameters="weight",
        window=window,
        storage=storage,
        run_dir=folder,
        verbose=False,
        **settings,
    )
    for _ in range(steps):
        loop.step()
    assert recorder.stopped is None
    return loop, recorder


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("storage", "tolerance"), [("disk", 0.0), ("bfloat16", 2.0**-8)])
def test_spectrum_and_directions_are_those_in_memory(tmp_path, storage, tolerance, center):
    _, reference = recorded(tmp_path, "float32")
    _, other = recorded(tmp_path, storage)
    expected, found = reference.edge(center=center), other.edge(center=center)
    scale = expected.singular_values[0]
    assert found.singular_values == pytest.approx(expected.singular_values, abs=tolerance * scale, rel=1e-12)
    assert found.directions(2).dtype == torch.float32
    torch.testing.assert_close(found.directions(1), expected.directions(1), atol=2 * tolerance + 1e-6, rtol=0)
    reference.close()
    other.close()


def test_a_sketch_with_a_directory_gives_exact_directions(tmp_path):
    _, reference = recorded(tmp_path, "float32")
    _, sketched = recorded(tmp_path, "sketch", sketch_size=4096)
    expected, found = reference.edge(), sketched.edge()
    # 42 entries in 4096 buckets: a collision has probability 0.19, and there is none.
    assert found.singular_values == pytest.approx(expected.singular_values, rel=1e-5)
    assert torch.equal(found.directions(2), expected.directions(2))
    assert found.noise_floor == pytest.approx(np.sqrt(max(found.left**2 @ found.singular_values**2) / 64.0), rel=1e-12)
    assert expected.noise_floor is None


def test_a_coarse_sketch_still_gives_the_exact_directions(tmp_path):
    _, reference = recorded(tmp_path, "float32")
    _, sketched = recorded(tmp_path, "sketch", sketch_size=8)
    coarse, exact = sketched.edge().singular_values, reference.edge().singular_values
    assert coarse[-1] == exact[-1] == 0.0  # centring takes one of four: what is left of it is rounding
    assert np.abs(coarse[:-1] / exact[:-1] - 1).max() > 0.01
    assert torch.equal(sketched.edge().directions(2), reference.edge().directions(2))


def test_a_sketch_without_a_directory_has_a_spectrum_and_says_what_directions_need():
    loop = plain()
    with se.watch(
        loop.model, loop.optimizers, parameters="weight", window=2, storage="sketch", sketch_size=64, verbose=False
    ) as recorder:
        for _ in range(3):
            loop.step()
    edge = recorder.edge(center=False)
    assert edge.singular_values.shape == (2,)
    with pytest.raises(ValueError, match="give watch a run_dir"):
        edge.directions(1)
    assert recorder.window.dim == 64


def test_directions_from_a_file_are_refused_once_the_window_has_moved_on(tmp_path):
    loop, recorder = recorded(tmp_path, "disk")
    edge = recorder.edge()
    edge.directions(1)
    loop.step()
    with pytest.raises(ValueError, match="moved on by 1 updates"):
        edge.directions(1)
    recorder.edge().directions(1)


def test_directions_of_a_sketch_are_those_of_the_window_that_it_was_taken_from(tmp_path):
    loop, recorder = recorded(tmp_path, "sketch", sketch_size=64)
    edge = recorder.edge()
    edge.directions(1)
    loop.step()
    with pytest.raises(ValueError, match="moved on by 1 updates"):
        edge.directions(1)


def test_later_steps_do_not_change_an_edge_from_memory(tmp_path):
    loop, recorder = recorded(tmp_path, "float32")
    edge = recorder.edge()
    before = edge.directions(2).clone()
    loop.step()
    assert torch.equal(edge.directions(2), before)


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "disk", "sketch"])
@pytest.mark.parametrize("logged", [False, True])
def test_the_cost_that_is_printed_is_what_is_held(tmp_path, capsys, storage, logged):
    """Bytes of the tensors of a state, which are in memory or in the files of the directory."""
    loop = plain()
    folder = tmp_path / "run" if logged or storage == "disk" else None
    with se.watch(
        loop.model, loop.optimizers, parameters="weight", window=5, storage=storage, sketch_size=64, run_dir=folder
    ) as recorder:
        for _ in range(5):
            loop.step()
        said = capsys.readouterr().err
        state = recorder.state_dict()
        held = {name: value.nbytes for name, value in state.items() if name in _LARGE}
        files = {path.name: path.stat().st_size for path in folder.glob("*.bin")} if folder else {}
        in_files = sum(files.values())
        mapped = {"disk": {"window.rows", "edge"}, "sketch": {"exact.rows", "exact_anchor", "edge"}}.get(
            storage, {"edge"}
        )
        memory = sum(size for name, size in held.items() if not (folder and name in mapped))
        memory += held["anchor"] if storage == "sketch" else 0  # the sketch that the last look made
    assert recorder.cost.memory == memory
    assert recorder.cost.disk == in_files
    assert "recording 42 parameters in 2 tensors, 5 updates of 1 step" in said
    assert "ms a recorded update" in said


_LARGE = {"anchor", "window.rows", "exact.rows", "exact_anchor", "edge"}


def test_too_much_memory_is_refused_with_what_would_fit(tmp_path):
    loop = plain()
    with pytest.raises(MemoryError) as refusal:
        se.watch(loop.model, loop.optimizers, parameters="weight", memory_limit=2500, verbose=False)
    message = str(refusal.value)
    assert "storage='bfloat16'" in message  # 44 x 42 = 1848 bytes
    assert "storage='float32' with window=13" in message  # (13 + 1) x 168 = 2352
    assert "storage='disk'" in message
    assert "storage='sketch'" not in message  # 22 x 4096 numbers
    for said in message.split("What fits: ")[1].split("; or select")[0].split("; "):
        settings = eval(f"dict({said.replace(' with ', ', ')})")
        folder = tmp_path / said if settings["storage"] == "disk" else None
        extra = {"parameters": "weight", "memory_limit": 2500, "verbose": False, "run_dir": folder}
        se.watch(loop.model, loop.optimizers, **settings, **extra).close()


def test_what_would_fit_does_fit_with_a_log_as_well():
    loop, limit = plain(), 2500
    settings = {"parameters": "weight", "memory_limit": limit, "verbose": False, "callback": print}
    with pytest.raises(MemoryError) as refusal:
        se.watch(loop.model, loop.optimizers, **settings)
    window = int(str(refusal.value).split("storage='float32' with window=")[1].split(";")[0])
    se.watch(loop.model, loop.optimizers, window=window, **settings).close()
    with pytest.raises(MemoryError):
        se.watch(loop.model, loop.optimizers, window=window + 1, **settings)


def test_by_default_half_of_the_free_memory_is_the_limit(monkeypatch):
    monkeypatch.setattr("spectral_edge.recording.watching.available_memory", lambda device: 5000)
    loop = plain()
    with pytest.raises(MemoryError):
        se.watch(loop.model, loop.optimizers, parameters="weight", verbose=False)
    se.watch(loop.model, loop.optimizers, parameters="weight", window=10, verbose=False).close()
