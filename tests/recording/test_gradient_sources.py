"""Gradients by source against those that autograd gives of each loss alone, a slow twin in float64."""

import copy

import pytest
import torch

import spectral_edge as se
from spectral_edge.recording import SourceGradient

NAMES = ("prose", "code")


def model_and_optimizer():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    return model, torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)


def losses(model, step):
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
    return {"prose": model(x).square().sum(), "code": 3 * model(x + 1).sin().sum()}


def gradient(loss, model):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)])


def watched(**settings):
    model, optimizer = model_and_optimizer()
    settings = {"parameters": ".", "window": 3, "sources": NAMES, "verbose": False} | settings
    return model, optimizer, se.watch(model, optimizer, **settings)


def train(model, optimizer, recorder, steps, start=0):
    """One block a source, and a loss of no source; returns what each source asked for at each step."""
    asked = {name: [] for name in NAMES}
    for step in range(start, start + steps):
        optimizer.zero_grad()
        (0.1 * model[0].weight.square().sum()).backward()  # of no source
        for name, loss in losses(model, step).items():
            asked[name].append(-gradient(loss, model))
            with recorder.source(name):
                loss.backward()
        optimizer.step()
    return {name: torch.stack(rows) for name, rows in asked.items()}


@pytest.mark.parametrize("every", [1, 3])
def test_each_source_has_the_edge_of_its_own_gradients(every):
    model, optimizer, recorder = watched(every=every)
    asked = train(model, optimizer, recorder, 4 * every)
    for name, rows in asked.items():
        expected = se.spectral_edge(rows.unflatten(0, (4, every)).sum(1)[-3:], center=False)
        found = recorder.edge(of="gradient", source=name, center=False)
        assert found.singular_values == pytest.approx(expected.singular_values, rel=1e-5)
        cosine = (found.directions(1).double() * expected.directions(1)).sum()
        assert cosine.abs().item() == pytest.approx(1, abs=1e-6)


def test_a_source_has_a_row_for_each_update_that_it_took_part_in():
    model, optimizer, recorder = watched(window=2)
    asked = []
    for step in range(5):
        optimizer.zero_grad()
        with recorder.source("prose"):
            losses(model, step)["prose"].backward()
        if step in (0, 1, 4):
            loss = losses(model, step)["code"]
            asked.append(-gradient(loss, model))
            with recorder.source("code"):
                loss.backward()
        optimizer.step()
        if step == 0:
            with pytest.raises(ValueError, match="1 of 2 updates"):
                recorder.edge(of="gradient", source="code")
    found = recorder.edge(of="gradient", source="code", center=False).singular_values
    assert found == pytest.approx(se.spectral_edge(torch.stack(asked[1:]), center=False).singular_values, rel=1e-5)


def test_gradients_that_are_cleared_inside_a_block_end_the_recording():
    model, optimizer, recorder = watched()
    losses(model, 0)["prose"].backward()
    with recorder.source("code"):
        optimizer.zero_grad()
        losses(model, 1)["code"].backward()
    assert "zero_grad before the blocks" in recorder.stopped
    optimizer.step()


def test_gradients_that_ddp_puts_elsewhere_are_the_same_gradients():
    """Its bucket views take the place of gradients, with what was in them."""
    model, _ = model_and_optimizer()
    source = SourceGradient(se.ParameterSubset(dict(model.named_parameters())), replaced=True)
    losses(model, 0)["prose"].backward()
    loss = losses(model, 1)["code"]
    expected = -gradient(loss, model)
    source.begin()
    loss.backward()
    for parameter in model.parameters():
        parameter.grad = parameter.grad.clone()
    source.end()
    torch.testing.assert_close(source.take(), expected)


@pytest.mark.parametrize("how", ["step", "nested"])
def test_what_does_not_belong_into_a_block_ends_the_recording(how):
    model, optimizer, recorder = watched()
    with recorder.source("code"):
        losses(model, 0)["code"].backward()
        if how == "step":
            optimizer.step()
        else:
            with recorder.source("code"):
                pass
    assert {"step": "step after the blocks", "nested": "end that one first"}[how] in recorder.stopped


def test_blocks_of_different_sources_may_be_nested():
    model, optimizer, recorder = watched(window=2)
    for _ in range(2):
        optimizer.zero_grad()
        with recorder.source("prose"), recorder.source("code"):
            losses(model, 0)["code"].backward()
        optimizer.step()
    both = [recorder.edge(of="gradient", source=name, center=False).singular_values for name in NAMES]
    assert both[0].tolist() == both[1].tolist()


def test_the_scale_of_a_loss_is_divided_out():
    model, _ = model_and_optimizer()
    source = SourceGradient(se.ParameterSubset(dict(model.named_parameters())))
    (1024 * losses(model, 0)["prose"]).backward()
    loss = losses(model, 1)["code"]
    expected = -gradient(loss, model)
    source.begin(1024.0)
    (1024 * loss).backward()
    source.end()
    torch.testing.assert_close(source.take(), expected)


def test_a_block_that_overflows_counts_as_nothing():
    """The step of a scaler that is skipped, and two that are not."""
    model, _ = model_and_optimizer()
    source = SourceGradient(se.ParameterSubset(dict(model.named_parameters())))
    rows = []
    for step in range(3):
        for parameter in model.parameters():
            parameter.grad = None
        loss = losses(model, step)["code"]
        source.begin()
        loss.backward()
        if step == 0:
            model[0].weight.grad[0, 0] = torch.inf
        source.end()
        if step:
            rows.append((source.take(), -gradient(losses(model, step)["code"], model)))
    for found, expected in rows:
        torch.testing.assert_close(found, expected)


def test_training_is_bitwise_the_same_with_sources():
    ends = []
    for sources in (NAMES, ()):
        model, optimizer, recorder = watched(sources=sources)
        for step in range(4):
            optimizer.zero_grad()
            for name, loss in losses(model, step).items():
                if sources:
                    with recorder.source(name):
                        loss.backward()
                else:
                    loss.backward()
            optimizer.step()
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*ends)


def test_a_recorder_with_sources_continues_from_its_state():
    model, optimizer, recorder = watched(every=2)
    train(model, optimizer, recorder, 7)  # in the middle of an update
    state, theta = recorder.state_dict(), copy.deepcopy(model.state_dict())
    again, other, second = watched(every=2)
    again.load_state_dict(theta)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    second.load_state_dict(state)
    for one, moving, seen in ((model, optimizer, recorder), (again, other, second)):
        train(one, moving, seen, 3, start=7)
    for name in NAMES:
        ours, theirs = (r.edge(of="gradient", source=name).singular_values for r in (recorder, second))
        assert ours.tolist() == theirs.tolist()
    state.pop("gradient of code.total")
    with pytest.raises(ValueError, match="of a recorder with other"):
        second.load_state_dict(state)


def test_a_graph_of_gradients_ends_the_recording_and_not_the_training():
    model, optimizer, recorder = watched()
    with recorder.source("code"):
        losses(model, 0)["code"].backward(create_graph=True)
    optimizer.step()
    assert "create_graph" in recorder.stopped


def test_an_error_in_a_block_reaches_the_loop():
    _, _, recorder = watched()
    with pytest.raises(KeyError), recorder.source("code"):
        raise KeyError("of the loop's own")
    assert recorder.stopped is None


def test_what_sources_cannot_be_had_for_is_said(tmp_path):
    model, optimizer, recorder = watched()
    with pytest.raises(ValueError, match=r"'poems'.*\['prose', 'code'\]"), recorder.source("poems"):
        pass
    with pytest.raises(ValueError, match="'poems'"):
        recorder.edge(of="gradient", source="poems")
    with pytest.raises(ValueError, match="of='gradient'"):
        recorder.edge(source="code")
    with pytest.raises(ValueError, match="scale = 0"), recorder.source("code", scale=0):
        pass
    for sources in ("code", ("code", "code"), ("",)):
        with pytest.raises(ValueError, match="different names"):
            se.watch(model, optimizer, sources=sources, parameters=".", verbose=False)
    with pytest.raises(ValueError, match="storage is 'disk'"):
        se.watch(model, optimizer, parameters=".", sources=NAMES, storage="disk", run_dir=tmp_path, verbose=False)
    with pytest.raises(ValueError, match="none was given"):
        se.watch(model, None, parameters=".", sources=NAMES, verbose=False)
    next(model.parameters())._in_backward_optimizers = [optimizer]
    with pytest.raises(ValueError, match="inside the backward pass"):
        se.watch(model, optimizer, parameters=".", sources=NAMES, verbose=False)


@pytest.mark.parametrize("case", ["a loss that is met", "no backward pass", "a loss that is NaN"])
def test_a_step_in_which_a_source_asks_nothing_is_a_row_of_zeros(case):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    rows = []
    with se.watch(model, optimizer, parameters=".", window=4, sources=("main",), verbose=False) as recorder:
        for step in range(4):
            optimizer.zero_grad()
            x = torch.randn(8, 4)
            own = torch.autograd.grad(model(x).mean(), list(model.parameters()))
            rows.append(-torch.cat([grad.flatten() for grad in own]) * (step != 2))
            loss = model(x).mean()
            with recorder.source("main"):
                if step != 2:
                    (loss + 10).relu().backward()
                elif case == "a loss that is met":
                    (loss - 10).relu().backward()
                elif case == "a loss that is NaN":
                    (loss * torch.nan).backward()
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.nan_to_num_(0.0)
            model(torch.randn(8, 4)).square().mean().backward()  # of no source
            optimizer.step()
    found = recorder.edge(of="gradient", source="main", center=False)
    assert found.singular_values == pytest.approx(torch.linalg.svdvals(torch.stack(rows)).numpy(), abs=1e-5)
