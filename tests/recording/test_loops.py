"""The updates of every kind of loop are the differences of its parameters from training step to training step."""

import copy
import logging
from itertools import pairwise

import pytest
import torch
from torch import nn

import spectral_edge as se
from spectral_edge.recording.resolution import rounding_share
from spectral_edge.store import RunLockedError
from support.loops import LOOPS, accumulation, compiled, frozen, mixed_precision, mlp, plain, tied, two_optimizers


def watch(loop, **settings):
    settings = {"parameters": "weight", "window": 4, "verbose": False} | settings
    return se.watch(loop.model, loop.optimizers, **settings)


@pytest.mark.parametrize("name", [name for name in LOOPS if name != "compiled"])
def test_updates_are_the_differences_of_the_parameters(name):
    updates_are_differences(name)


def updates_are_differences(name):
    """As another hook sees them, right after the last optimizer of each training step."""
    loop = LOOPS[name]()
    with watch(loop) as recorder:
        theta = [recorder.parameters.flatten()]
        loop.optimizers[-1].register_step_post_hook(lambda *_: theta.append(recorder.parameters.flatten()))
        for _ in range(30):
            loop.step()
    moved = [update for before, after in pairwise(theta) if (update := after - before).any()]
    assert recorder.window.pushed == len(moved) > 10
    assert torch.equal(recorder.window.updates, torch.stack(moved[-4:]))
    assert recorder.stopped is None


def test_what_is_done_to_weights_after_a_step_is_part_of_the_next_update():
    loop = LOOPS["plain"]()
    with watch(loop, window=2) as recorder:
        loop.step()
        with torch.no_grad():
            loop.model[0].weight[0, 0] += 100.0
        loop.step()
    assert recorder.window.updates[1, 0] == pytest.approx(100.0, abs=0.1)


@pytest.mark.parametrize("fused", [False, True])
def test_skipped_steps_of_a_scaler_are_no_updates(fused):
    loop = mixed_precision(fused)
    with watch(loop, window=2) as recorder:
        before = recorder.parameters.flatten()
        loop.step()
        assert torch.equal(recorder.parameters.flatten(), before)  # the premise: the first step overflows
        assert recorder.window.pushed == 0
        for _ in range(150):
            loop.step()
    assert recorder.window.pushed > 0
    assert recorder.window.updates.any(dim=1).all()


def test_micro_batches_are_one_update():
    loop = accumulation()
    with watch(loop) as recorder:
        for _ in range(5):
            loop.step()
    assert recorder.steps == recorder.window.pushed == 5


def test_several_optimizers_make_one_update_a_training_step():
    loop = two_optimizers()
    with watch(loop, parameters=".") as recorder:
        for _ in range(5):
            loop.step()
    assert recorder.steps == recorder.window.pushed == 5
    assert recorder.parameters.dim == sum(p.numel() for p in loop.model.parameters())


def test_an_optimizer_that_steps_twice_as_often_ends_a_step_each_time():
    model = mlp()
    often = torch.optim.SGD(model[0].parameters(), lr=0.1)
    seldom = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with se.watch(model, [often, seldom], parameters=".", window=3, verbose=False) as recorder:
        for step in range(6):
            model(torch.ones(2, 4)).square().sum().backward()
            often.step()
            if step % 2:
                seldom.step()
            model.zero_grad()
    # The steps of `seldom` belong to the training step in which they are made.
    assert recorder.steps == 6


def test_a_compiled_model_has_the_names_of_the_plain_one():
    loop = compiled()
    with watch(loop) as recorder:
        loop.step()
    assert recorder.parameters.names == ("0.weight", "2.weight")


def test_tied_weights_are_recorded_once_and_found_by_any_name():
    with watch(tied()) as recorder:
        assert recorder.parameters.names == ("embedding.weight", "mix.weight")
    with watch(tied(), parameters="head") as recorder:
        assert recorder.parameters.names == ("embedding.weight",)


def test_the_last_step_of_optimizers_with_different_rates_is_recorded_at_the_end():
    loop = two_optimizers()
    muon, _ = loop.optimizers
    with watch(loop) as recorder:
        for _ in range(5):
            loss = loop.model(torch.ones(2, 4)).square().sum()
            loss.backward()
            muon.step()
            muon.zero_grad()
        assert recorder.steps == 4  # the fifth may still be joined by the other optimizer
    assert recorder.steps == recorder.window.pushed == 5
    assert recorder.window.steps == [2, 3, 4, 5]


def test_a_phantom_step_is_no_update():
    """A state dict of a fresh optimizer makes it step once, with a learning rate of 0."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    loop = plain()
    with watch(loop, window=2) as recorder:
        get_optimizer_state_dict(loop.model, loop.optimizers)
        assert recorder.steps == 1
        for _ in range(3):
            loop.step()
    assert recorder.window.pushed == 3
    assert recorder.window.updates.any(dim=1).all()


def test_a_copied_optimizer_is_not_watched():
    loop = plain()
    with watch(loop) as recorder:
        loop.step()
        copy.deepcopy(loop.optimizers[0]).step()
    assert recorder.steps == 1


def test_a_container_of_optimizers_is_watched_as_one():
    """As torchtitan's: an optimizer that steps the optimizers in it."""

    class Container(torch.optim.Optimizer):
        def __init__(self, optimizers):
            self.optimizers = optimizers
            super().__init__([p for o in optimizers for g in o.param_groups for p in g["params"]], {})

        def step(self, closure=None):
            for optimizer in self.optimizers:
                optimizer.step()

    loop = two_optimizers()
    container = Container(loop.optimizers)
    with se.watch(loop.model, container, parameters=".", window=3, verbose=False) as recorder:
        for _ in range(4):
            loop.model(torch.ones(2, 4)).square().sum().backward()
            container.step()
            container.zero_grad()
    assert recorder.steps == recorder.window.pushed == 4
    assert recorder.parameters.dim == sum(p.numel() for p in loop.model.parameters())


def test_frozen_parameters_are_left_out_and_it_is_said(capsys):
    loop = frozen()
    with watch(loop, verbose=True) as recorder:
        assert recorder.parameters.names == ("2.weight",)
    assert "1 tensors that no optimizer holds left out" in capsys.readouterr().err


def test_wrappers_around_optimizers_are_looked_into():
    class Wrapper(torch.optim.Optimizer):
        def __init__(self, optimizer):
            self.optimizer = optimizer

    loop = plain()
    with se.watch(loop.model, Wrapper(loop.optimizers[0]), parameters=".", verbose=False) as recorder:
        loop.step()
    assert recorder.steps == 1


def half(optimizer_of):
    torch.manual_seed(0)
    model = mlp().to(torch.bfloat16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    return model, optimizer_of(model)


def test_bfloat16_weights_are_recorded_as_they_move_with_the_loss_of_resolution_measured(caplog):
    model, optimizer = half(lambda m: torch.optim.SGD(m.parameters(), lr=1.0))
    with caplog.at_level(logging.WARNING), se.watch(model, optimizer, parameters="0.weight", verbose=False) as recorder:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 1e-3)
        model[0].weight.grad[0, 0] = 2.0**-6
        optimizer.step()
    # At 1, bfloat16 has a spacing of 2^-8 below: a step of 1e-3 vanishes, one of 2^-6 is exact.
    update = recorder.window.updates[0]
    assert update[0] == -(2.0**-6)
    assert not update[1:].any()
    # rms rounding u/√12 of 24 entries, one of them just below 1 with half the spacing, against the update's length
    expected = ((23 * (2.0**-7) ** 2 + (2.0**-8) ** 2) / 12) ** 0.5 / 2.0**-6
    assert f"only to {100 * expected:.0f} %" in caplog.text
    assert "96 % of their entries did not move" in caplog.text
    assert "masters=" in caplog.text


@pytest.mark.parametrize("where", ["given", "state", "attribute"])
def test_float32_masters_are_read_in_place_of_bfloat16_weights(where, caplog):
    model, optimizer = half(lambda m: torch.optim.SGD(m.parameters(), lr=1.0))
    weight = model[0].weight
    master = weight.detach().float().clone()
    if where == "state":
        optimizer.state[weight]["master_param"] = master
    if where == "attribute":
        weight.main_param = master
    masters = {"0.weight": master} if where == "given" else None
    with se.watch(model, optimizer, parameters="0.weight", masters=masters, verbose=False) as recorder:
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        assert recorder.window.pushed == 0
        master -= 1e-3
        weight.data.copy_(master)
        optimizer.step()
    assert recorder.window.updates[0].tolist() == pytest.approx([-1e-3] * 24, rel=1e-4)
    assert not caplog.text


def test_masters_that_only_the_optimizer_knows_are_enough():
    model, _ = half(lambda m: None)
    master = nn.Parameter(model[0].weight.detach().float())
    optimizer = torch.optim.SGD([master], lr=1.0)
    with se.watch(
        model, optimizer, parameters="0.weight", masters={"0.weight": master}, window=2, verbose=False
    ) as recorder:
        for size in (1e-3, 2e-3):
            master.grad = torch.full_like(master, size)
            optimizer.step()
    assert recorder.window.updates[:, 0].tolist() == pytest.approx([-1e-3, -2e-3], rel=1e-4)


def test_masters_that_are_made_at_the_first_step_are_found_there():
    model, optimizer = half(lambda m: torch.optim.SGD(m.parameters(), lr=1.0))
    weight = model[0].weight

    def step(size):
        master = optimizer.state[weight].setdefault("master_weight", weight.detach().float().clone())
        master -= size
        weight.data.copy_(master)
        weight.grad = torch.zeros_like(weight)
        optimizer.step()

    with se.watch(model, optimizer, parameters="0.weight", window=2, verbose=False) as recorder:
        for size in (1e-3, 2e-3, 3e-3):
            step(size)
        # The first update begins before there were masters, so it is not known.
        assert recorder.window.updates[:, 0].tolist() == pytest.approx([-2e-3, -3e-3], rel=1e-4)
        # Loading a state replaces them.
        optimizer.state[weight]["master_weight"] = optimizer.state[weight]["master_weight"].clone()
        step(4e-3)
        step(5e-3)
        step(6e-3)
    assert recorder.stopped is None
    assert recorder.window.updates[:, 0].tolist() == pytest.approx([-5e-3, -6e-3], rel=1e-4)


def test_zeros_are_no_rounding():
    """The spacing at 0 is that of the smallest numbers."""
    now = torch.zeros(1000)
    now[0] = 2.0**-10
    rounding, moved, stayed = rounding_share(now, torch.zeros(1000))
    assert rounding == pytest.approx((2.0**-33) ** 2 / 12)
    assert (moved, stayed) == (2.0**-20, 999.0)


def test_float32_is_said_to_be_coarse_where_it_is(caplog):
    """Updates of relative size 1e-6 in float32 are off by about 2.5 %; of 1e-4, by 0.025 %."""
    for relative, coarse in ((1e-6, True), (1e-4, False)):
        caplog.clear()
        torch.manual_seed(0)
        model = nn.Linear(300, 300, bias=False)
        exact = model.weight.detach().double()
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        with se.watch(model, optimizer, parameters="weight", window=2, verbose=False) as recorder:
            change = torch.randn(300, 300, dtype=torch.float64)
            change *= relative * exact.norm() / change.norm()
            with torch.no_grad():
                model.weight.copy_(exact + change)
            model.weight.grad = torch.zeros_like(model.weight)
            optimizer.step()
        error = (recorder.window.updates[0].double() - change.flatten()).norm() / change.norm()
        assert bool(caplog.text) == coarse
        if coarse:
            said = float(caplog.text.split("only to ")[1].split(" %")[0])
            assert said == pytest.approx(100 * float(error), rel=0.35)
        else:
            assert error < 1e-3


def test_two_recorders_on_one_model_do_not_meet_but_in_one_directory(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    settings = {"window": 2, "verbose": False}
    with (
        se.watch(model, optimizer, parameters="weight", run_dir=tmp_path / "one", **settings) as one,
        se.watch(model, optimizer, parameters=".", run_dir=tmp_path / "two", **settings) as two,
    ):
        with pytest.raises(RunLockedError, match="another recorder of this program"):
            se.watch(model, optimizer, parameters="weight", run_dir=tmp_path / "one", **settings)
        updates = []
        for _ in range(4):
            before = two.parameters.flatten()
            optimizer.zero_grad()
            model(torch.randn(5, 4)).square().mean().backward()
            optimizer.step()
            updates.append(two.parameters.flatten() - before)
        assert (one.stopped, two.stopped) == (None, None)
        for recorder, columns in ((one, slice(0, 12)), (two, slice(None))):
            expected = se.spectral_edge(torch.stack(updates[-2:])[:, columns], center=False).singular_values
            assert recorder.edge(center=False).singular_values == pytest.approx(expected, rel=1e-5)
    assert se.Recording(tmp_path / "one").steps == [2, 4]
