"""A recording that was interrupted and resumed is bitwise the uninterrupted one."""

import io

import pytest
import torch

import spectral_edge as se
from support.loops import plain

SETTINGS = {
    "float32": {},
    "bfloat16": {"storage": "bfloat16"},
    "disk": {"storage": "disk"},
    "sketch": {"storage": "sketch", "sketch_size": 64},
}


def watch(loop, folder, settings):
    return se.watch(
        loop.model,
        loop.optimizers,
        parameters="weight",
        window=4,
        every=2,
        run_dir=folder,
        keep_updates=True,
        verbose=False,
        **settings,
    )


def saved(value):
    """As a checkpoint on disk would give it back: loaded without unpickling anything but tensors."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_resumed_is_bitwise_uninterrupted(tmp_path, settings):
    whole = plain()
    with watch(whole, tmp_path / "whole", settings) as uninterrupted:
        for _ in range(41):
            whole.step()
        expected = uninterrupted.edge()
        directions = expected.directions(2)

    first = plain()
    with watch(first, tmp_path / "parts", settings) as recorder:
        for _ in range(21):  # neither a recorded step nor a full window's end
            first.step()
        checkpoint = saved(
            {
                "model": first.model.state_dict(),
                "optimizer": first.optimizers[0].state_dict(),
                "recorder": recorder.state_dict(),
            }
        )
        for _ in range(9):  # lost in the crash, but already in the log
            first.step()

    second = plain()
    for _ in range(21):
        second.step()  # the batches up to there
    second.model.load_state_dict(checkpoint["model"])
    second.optimizers[0].load_state_dict(checkpoint["optimizer"])
    with watch(second, tmp_path / "parts", settings) as resumed:
        resumed.load_state_dict(checkpoint["recorder"])
        for _ in range(20):
            second.step()
        assert resumed.stopped is None
        found = resumed.edge()
        assert torch.equal(found.directions(2), directions)
    assert found.singular_values.tolist() == expected.singular_values.tolist()
    assert resumed.steps == uninterrupted.steps == 41
    for name in ("metrics.jsonl",):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window.rows", None),
        ("window.rows", torch.zeros(3, 41)),
        ("window.gram", torch.zeros(3, 3)),
        ("window.counts", torch.tensor([-7, -7])),
        ("window.counts", torch.tensor([1, 4])),
        ("anchor", torch.zeros(42, dtype=torch.float64)),
        ("counts", torch.tensor([1, 2])),
        ("edge", torch.zeros(3, 5)),
    ],
)
def test_a_damaged_state_changes_nothing(name, value):
    loop = plain()
    with se.watch(
        loop.model, loop.optimizers, parameters="weight", window=3, callback=lambda values: None, verbose=False
    ) as recorder:
        for _ in range(6):
            loop.step()
        before = recorder.state_dict()
        damaged = {key: tensor for key, tensor in before.items() if key != name}
        if value is not None:
            damaged[name] = value
        with pytest.raises(ValueError):
            recorder.load_state_dict(damaged)
        after = recorder.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_state_of_another_recorder_is_refused():
    loop = plain()
    with se.watch(loop.model, loop.optimizers, parameters="weight", window=3, verbose=False) as recorder:
        state = recorder.state_dict()
    others = (
        {"window": 4},
        {"every": 2},
        {"parameters": "0.weight"},
        {"parameters": "."},
        {"storage": "bfloat16"},
        {"storage": "sketch", "sketch_size": 64},
    )
    for other in others:
        settings = {"parameters": "weight", "window": 3, "verbose": False} | other
        with (
            se.watch(loop.model, loop.optimizers, **settings) as recorder,
            pytest.raises(ValueError, match="with other parameters, window, every or storage"),
        ):
            recorder.load_state_dict(state)
