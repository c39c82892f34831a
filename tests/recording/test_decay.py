"""The decay part of updates against the formula in float64, a slow twin; what has no such part is refused."""

import copy

import pytest
import torch

import spectral_edge as se
from spectral_edge.recording import DecayPart
from spectral_edge.recording.watching import restore


def two_groups(optimizer=torch.optim.AdamW, **rates):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).double()
    first = {"params": list(model[0].parameters()), "weight_decay": 0.3}
    return model, optimizer([first, {"params": list(model[1].parameters()), "weight_decay": 0.0}], lr=0.01, **rates)


def train(model, optimizer, steps, watched=()):
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.01 * (step + 1)  # a schedule
        optimizer.zero_grad()
        model(torch.randn(5, 3, dtype=torch.float64)).square().sum().backward()
        for look in watched:
            look()
        optimizer.step()


@pytest.mark.parametrize("rate", [float, torch.tensor])
def test_it_is_the_sum_of_rate_times_decay_times_weights_before_each_step(rate):
    model, optimizer = two_groups()
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    expected = torch.zeros(parameters.dim, dtype=torch.float64)

    def by_hand():
        group = optimizer.param_groups[0]
        group["lr"] = rate(float(group["lr"]))
        expected[:16] -= float(group["lr"]) * 0.3 * parameters.flatten()[:16]

    with DecayPart([optimizer], parameters) as decay:
        train(model, optimizer, 4, [by_hand])
        found = decay.take()
        torch.testing.assert_close(found, expected)
        assert not found[16:].any()
        assert not decay.take().any()


def test_what_is_left_of_an_update_is_what_the_same_steps_do_without_decay():
    """One step of AdamW from equal states: with decay minus its part is without decay."""
    with_decay, optimizer = two_groups()
    without, plain = two_groups()
    plain.param_groups[0]["weight_decay"] = 0.0
    parameters = se.ParameterSubset(dict(with_decay.named_parameters()))
    before = parameters.flatten().clone()
    with DecayPart([optimizer], parameters) as decay:
        torch.manual_seed(1)
        train(with_decay, optimizer, 1)
    torch.manual_seed(1)
    train(without, plain, 1)
    after = se.ParameterSubset(dict(without.named_parameters())).flatten()
    torch.testing.assert_close(parameters.flatten() - before - decay.take(), after - before)


def test_nothing_is_added_once_it_is_closed():
    model, optimizer = two_groups()
    with DecayPart([optimizer], se.ParameterSubset(dict(model.named_parameters()))) as decay:
        pass
    train(model, optimizer, 1)
    assert not decay.take().any()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop])
def test_decay_that_is_added_to_the_gradient_is_refused_by_name(optimizer):
    model, coupled = two_groups(optimizer)
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    with pytest.raises(ValueError, match=rf"{optimizer.__name__}.*group 0 .*weight_decay = 0.3.*AdamW"):
        DecayPart([coupled], parameters)
    coupled.param_groups[0]["weight_decay"] = 0.0
    DecayPart([coupled], parameters).close()  # no decay at all is exact, too


def test_a_flag_for_decoupled_decay_is_believed():
    model, optimizer = two_groups(torch.optim.RAdam, decoupled_weight_decay=True)
    with DecayPart([optimizer], se.ParameterSubset(dict(model.named_parameters()))) as decay:
        train(model, optimizer, 1)
    assert decay.take().any()


def watched(every=1, window=3, **settings):
    model, optimizer = two_groups()
    return (
        model,
        optimizer,
        se.watch(model, optimizer, parameters=".", window=window, every=every, decay=True, verbose=False, **settings),
    )


@pytest.mark.parametrize("every", [1, 3])
def test_a_recorder_has_edges_of_both_parts(every):
    model, optimizer, recorder = watched(every)
    parameters = recorder.parameters
    decay, snapshots = [torch.zeros(parameters.dim, dtype=torch.float64)], [parameters.flatten()]

    def by_hand():
        decay[-1][:16] -= float(optimizer.param_groups[0]["lr"]) * 0.3 * parameters.flatten()[:16]

    for _ in range(4):
        train(model, optimizer, every, [by_hand])
        snapshots.append(parameters.flatten())
        decay.append(torch.zeros(parameters.dim, dtype=torch.float64))
    updates, decayed = torch.stack(snapshots).diff(dim=0)[-3:], torch.stack(decay[:-1])[-3:]
    for part, rows in (("update", updates), ("decay", decayed), ("gradient", updates - decayed)):
        expected = se.spectral_edge(rows, center=False).singular_values
        found = recorder.edge(of=part, center=False).singular_values
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    recorder.close()
    assert not optimizer._optimizer_step_pre_hooks


def test_two_optimizers_do_not_mix_the_decay_of_two_steps():
    """The first optimizer steps again before the second has: that ends the step before, without the new decay."""
    model, _ = two_groups()
    halves = [torch.optim.AdamW(layer.parameters(), lr=0.01, weight_decay=0.3) for layer in model]
    recorder = se.watch(model, halves, parameters=".", window=2, decay=True, verbose=False)
    expected = []
    for turn in ((0,), (0, 1)):
        model(torch.randn(5, 3, dtype=torch.float64)).square().sum().backward()
        row = torch.zeros(26, dtype=torch.float64)
        for number in turn:
            held = slice(0, 16) if number == 0 else slice(16, 26)
            row[held] = -0.01 * 0.3 * recorder.parameters.flatten()[held]
            halves[number].step()
        expected.append(row)
    found = recorder.edge(of="decay", center=False).singular_values
    assert found == pytest.approx(se.spectral_edge(torch.stack(expected), center=False).singular_values, rel=1e-4)


@pytest.mark.parametrize("closure", [False, True])
def test_parameters_without_a_gradient_do_not_decay(closure):
    model, optimizer = two_groups()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)  # frozen, and still in the optimizer
    optimizer.param_groups[1]["weight_decay"] = 0.2
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    before = parameters.flatten()

    def gradients():
        loss = model(torch.randn(5, 3, dtype=torch.float64)).square().sum()
        loss.backward()
        return loss

    with DecayPart([optimizer], parameters) as decay:
        optimizer.step(gradients) if closure else (gradients(), optimizer.step())
    found = decay.take()
    assert found[:16].abs().max() < 1e-18
    torch.testing.assert_close(found[16:], -0.01 * 0.2 * before[16:])


def test_a_fused_step_that_a_scaler_skips_does_not_decay():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    with DecayPart([optimizer], parameters) as decay:
        for poison, expected in ((True, 0.0), (False, -0.1 * 0.5)):
            before = parameters.flatten()
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(2, 3)).sum()).backward()
            if poison:
                model.weight.grad[0, 0] = torch.inf
            scaler.step(optimizer)
            scaler.update()
            torch.testing.assert_close(decay.take(), expected * before, atol=1e-7, rtol=1e-5)


def test_a_failing_hook_ends_the_recording_and_not_the_training(caplog):
    model, optimizer, recorder = watched()
    train(model, optimizer, 1)
    model[0].weight.data = torch.zeros(7, 3, dtype=torch.float64)
    model[0].weight.grad = torch.zeros(7, 3, dtype=torch.float64)
    optimizer.state.clear()
    optimizer.step()
    assert recorder.stopped is not None


def test_a_step_that_was_undone_leaves_nothing_that_is_not_finite():
    model, optimizer = two_groups()
    with DecayPart([optimizer], se.ParameterSubset(dict(model.named_parameters()))) as decay:
        before = [p.detach().clone() for p in model.parameters()]
        model[0].weight.data[0, 0] = torch.nan
        train(model, optimizer, 1)
        decay.clear_where(torch.tensor(False))  # as for an update that is dropped
        for parameter, value in zip(model.parameters(), before, strict=True):
            parameter.data.copy_(value)
        assert torch.isfinite(decay.total).all()
        decay.clear_where(torch.tensor(True))
        assert not decay.total.any()


def test_training_is_bitwise_the_same_with_decay_recorded():
    weights = []
    for decay in (False, True):
        model, optimizer = two_groups()
        with se.watch(model, optimizer, parameters=".", window=2, decay=decay, verbose=False):
            torch.manual_seed(5)
            train(model, optimizer, 4)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


def test_a_recorder_with_decay_continues_from_its_state():
    model, optimizer, recorder = watched(every=2)
    train(model, optimizer, 7)  # in the middle of an update
    state, theta = recorder.state_dict(), [p.detach().clone() for p in model.parameters()]
    again, other, second = watched(every=2)
    for mine, theirs in zip(again.parameters(), theta, strict=True):
        mine.data.copy_(theirs)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    second.load_state_dict(state)
    for m, o in ((model, optimizer), (again, other)):
        torch.manual_seed(9)
        train(m, o, 3)
    for part in ("update", "decay", "gradient"):
        ours, theirs = (r.edge(of=part).singular_values for r in (recorder, second))
        assert ours.tolist() == theirs.tolist()
    before = second.state_dict()
    del state["decay.total"]
    with pytest.raises(ValueError, match="of a recorder with other"):
        second.load_state_dict(state)
    assert all(torch.equal(value, before[name]) for name, value in second.state_dict().items())
    restore(second, state)  # says so, and begins with an empty window


def test_what_decay_cannot_be_had_for_is_said(tmp_path):
    model, optimizer = two_groups()
    with pytest.raises(ValueError, match="storage is 'disk'"):
        se.watch(model, optimizer, parameters=".", decay=True, storage="disk", run_dir=tmp_path, verbose=False)
    with pytest.raises(ValueError, match="none was given"):
        se.watch(model, None, parameters=".", decay=True, verbose=False)
    _, coupled = two_groups(torch.optim.SGD)
    with pytest.raises(ValueError, match="SGD"):
        se.watch(model, coupled, parameters=".", decay=True, verbose=False)
    plain = se.watch(model, optimizer, parameters=".", window=2, verbose=False)
    with pytest.raises(ValueError, match="give watch decay=True"):
        plain.edge(of="gradient")
    _, _, recorder = watched()
    with pytest.raises(ValueError, match="'momentum' is unknown"):
        recorder.edge(of="momentum")
    with pytest.raises(ValueError, match="leave step out"):
        recorder.edge(3, of="decay")


def test_the_announced_memory_counts_both_windows():
    plain = se.watch(*two_groups(), parameters=".", window=3, verbose=False)
    costs = [recorder.cost.memory for recorder in (watched()[2], plain)]
    kept = watched()[2]._kept.decay
    held = kept.window.updates.new_empty(3, 26).nbytes + kept.part.total.nbytes
    assert costs[0] - costs[1] == held


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_coupled_decay_that_comes_with_a_state_stops_the_recording(kind):
    model = torch.nn.Linear(3, 2)
    optimizer = kind(model.parameters(), lr=0.01)
    with se.watch(model, optimizer, parameters=".", window=2, decay=True, verbose=False) as recorder:
        optimizer.load_state_dict(kind(torch.nn.Linear(3, 2).parameters(), lr=0.01, weight_decay=0.1).state_dict())
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
    assert recorder.stopped is not None
    assert "coupled L2" in recorder.stopped


def test_parameters_that_change_their_group_have_the_rate_of_their_new_one():
    model, optimizer = two_groups()
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    with DecayPart([optimizer], parameters) as decay:
        first, second = (group["params"] for group in optimizer.param_groups)
        first[1], second[1] = second[1], first[1]  # the biases; the groups are as large as before
        before = parameters.flatten()
        train(model, optimizer, 1)
    expected = torch.zeros(parameters.dim, dtype=torch.float64)
    for held in (slice(0, 12), slice(24, 26)):  # the first weight and the second bias
        expected[held] = -0.01 * 0.3 * before[held]
    torch.testing.assert_close(decay.take(), expected, atol=1e-15, rtol=0)


def test_gradients_that_a_hook_of_the_user_clears_were_there_all_the_same():
    model, optimizer = two_groups()
    optimizer.register_step_post_hook(lambda o, *_: o.zero_grad())
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    with DecayPart([optimizer], parameters) as decay:
        before = parameters.flatten()
        train(model, optimizer, 1)
    expected = torch.zeros(parameters.dim, dtype=torch.float64)
    expected[:16] = -0.01 * 0.3 * before[:16]
    torch.testing.assert_close(decay.take(), expected, atol=1e-15, rtol=0)
