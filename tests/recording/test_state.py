"""A recording that was interrupted and resumed is bitwise the uninterrupted one."""

import io

import pytest
import torch
from torch import nn

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


class Uneven:
    """Two optimizers, of which one steps after every fourth batch only."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
        self.optimizers = [torch.optim.AdamW(self.model[i].parameters(), lr=rate) for i, rate in ((0, 0.01), (2, 0.03))]
        self.recorder = se.watch(self.model, self.optimizers, parameters=".", window=4, verbose=False)

    def train(self, steps):
        for t in steps:
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            x = torch.randn(16, 4, generator=torch.Generator().manual_seed(t))
            self.model(x).square().mean().backward()
            self.optimizers[0].step()
            if t % 4 == 0:
                self.optimizers[1].step()

    def parts(self):
        return [self.model, *self.optimizers, self.recorder]


@pytest.mark.parametrize("cut", [6, 7, 8, 9])
def test_a_step_of_some_of_the_optimizers_survives_a_resumption(cut):
    whole, first, resumed = Uneven(), Uneven(), Uneven()
    whole.train(range(1, 13))
    first.train(range(1, cut + 1))
    for part, state in zip(resumed.parts(), saved([part.state_dict() for part in first.parts()]), strict=True):
        part.load_state_dict(state)
    resumed.train(range(cut + 1, 13))
    assert resumed.recorder.window.steps == whole.recorder.window.steps
    assert torch.equal(resumed.recorder.window.updates, whole.recorder.window.updates)


class MasterSGD(torch.optim.Optimizer):
    """SGD on float32 copies of bfloat16 parameters, which it makes at its first step."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 1e-3})

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            state = self.state[p]
            if "master" not in state:
                state["master"] = p.detach().float().clone()
            state["master"].sub_(1e-3 * p.grad.float())
            p.copy_(state["master"])

    def load_state_dict(self, state):
        super().load_state_dict(state)  # casts to the parameters' type
        for p, values in zip(self.param_groups[0]["params"], state["state"].values(), strict=True):
            self.state[p]["master"] = values["master"].clone()


def test_masters_that_come_with_the_state_of_an_optimizer_are_read():
    def begin():
        torch.manual_seed(0)
        model = nn.Linear(4, 3).bfloat16()
        optimizer = MasterSGD(model.parameters())
        return model, optimizer, se.watch(model, optimizer, parameters=".", window=3, verbose=False)

    def train(model, optimizer, steps):
        for t in steps:
            optimizer.zero_grad()
            x = torch.randn(8, 4, generator=torch.Generator().manual_seed(t)).bfloat16()
            model(x).square().mean().backward()
            optimizer.step()

    whole, first, resumed = begin(), begin(), begin()
    train(*whole[:2], range(9))
    train(*first[:2], range(5))
    for part, state in zip(resumed, saved([part.state_dict() for part in first]), strict=True):
        part.load_state_dict(state)
    train(*resumed[:2], range(5, 9))
    assert torch.equal(resumed[2].window.updates, whole[2].window.updates)
