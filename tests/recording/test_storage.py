"""Memory, bfloat16, files and sketches hold the same window, within what each can resolve."""

import numpy as np
import pytest
import torch

import spectral_edge as se
from recording.loops import plain


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
    assert np.abs(sketched.edge().singular_values / reference.edge().singular_values - 1).max() > 0.01
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


def test_later_steps_do_not_change_an_edge_from_memory(tmp_path):
    loop, recorder = recorded(tmp_path, "float32")
    edge = recorder.edge()
    before = edge.directions(2).clone()
    loop.step()
    assert torch.equal(edge.directions(2), before)


def test_the_cost_is_printed_with_bytes_that_are_held(tmp_path, capsys):
    loop = plain()
    dim = 42
    for storage, memory, disk in (
        ("float32", 4 * 21 * dim, 0),
        ("bfloat16", 2 * 20 * dim + 4 * dim, 0),
        ("disk", 4 * dim, 4 * 20 * dim + 12 * dim),  # and three directions for the log
        ("sketch", 8 * 22 * 64, 4 * 21 * dim + 3 * 8 * 64),
    ):
        folder = tmp_path / storage if storage in ("disk", "sketch") else None
        with se.watch(
            loop.model, loop.optimizers, parameters="weight", storage=storage, sketch_size=64, run_dir=folder
        ) as recorder:
            assert (recorder.cost.memory, recorder.cost.disk) == (memory, disk), storage
        said = capsys.readouterr().err
        assert "recording 42 parameters in 2 tensors, 20 updates of 1 step" in said
        assert "ms a recorded update" in said


def test_too_much_memory_is_refused_with_what_would_fit():
    loop = plain()
    with pytest.raises(MemoryError) as refusal:
        se.watch(loop.model, loop.optimizers, parameters="weight", memory_limit=2500, verbose=False)
    message = str(refusal.value)
    assert "storage='bfloat16'" in message  # 44 x 42 = 1848 bytes
    assert "storage='float32' with window=13" in message  # (13 + 1) x 168 = 2352
    assert "storage='disk'" in message
    assert "storage='sketch'" not in message  # 22 x 4096 numbers


def test_by_default_half_of_the_free_memory_is_the_limit(monkeypatch):
    monkeypatch.setattr("spectral_edge.recording.watching.available_memory", lambda device: 5000)
    loop = plain()
    with pytest.raises(MemoryError):
        se.watch(loop.model, loop.optimizers, parameters="weight", verbose=False)
    se.watch(loop.model, loop.optimizers, parameters="weight", window=10, verbose=False).close()
