"""200 steps of every loop, watched or not: parameters, optimizer state, random numbers and losses are bitwise equal."""

import pytest
import torch

import spectral_edge as se
from support.loops import LOOPS

STEPS = 200


def run(name, settings, folder):
    loop = LOOPS[name]()
    recorder = None
    if settings is not None:
        if "run_dir" in settings:
            settings = settings | {"run_dir": folder}
        recorder = se.watch(loop.model, loop.optimizers, parameters="weight", verbose=False, **settings)
    losses = [loop.step() for _ in range(STEPS)]
    if recorder is not None:
        assert recorder.stopped is None
        assert recorder.window.full
        recorder.close()
    return losses + loop.state()


IN_EVERY_STORAGE = pytest.mark.parametrize(
    "settings",
    [
        {"window": 5},
        {"window": 5, "every": 3, "storage": "bfloat16", "callback": lambda values: values.scalars()},
        {"window": 5, "storage": "sketch", "sketch_size": 64, "run_dir": True, "keep_updates": True},
        {"window": 5, "storage": "disk", "run_dir": True},
    ],
    ids=["memory", "bfloat16", "sketch", "disk"],
)


@pytest.mark.parametrize("name", [name for name in LOOPS if name != "compiled"])
@IN_EVERY_STORAGE
def test_training_is_bitwise_the_same(name, settings, tmp_path):
    watching_changes_nothing(name, settings, tmp_path)


def watching_changes_nothing(name, settings, tmp_path):
    alone = run(name, None, tmp_path)
    watched = run(name, settings, tmp_path / "run")
    assert len(alone) == len(watched)
    assert all(torch.equal(a, b) for a, b in zip(alone, watched, strict=True))


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "sketch"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_parameters_of_any_type_are_only_read(dtype, storage):
    """A conversion to the type that a tensor has already is the tensor itself: in-place work on it would be seen."""
    model = torch.nn.Linear(5, 3).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with se.watch(model, optimizer, parameters=".", window=2, storage=storage, sketch_size=64, verbose=False) as r:
        for _ in range(4):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            expected = [p.detach() - 0.5 for p in model.parameters()]
            optimizer.step()
            assert all(torch.equal(p, e) for p, e in zip(model.parameters(), expected, strict=True))
        r.edge(center=False)
        assert all(torch.equal(p, e) for p, e in zip(model.parameters(), expected, strict=True))
