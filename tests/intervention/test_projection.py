"""Projected training against training by hand in float64."""

import copy

import pytest
import torch

import spectral_edge as se
from spectral_edge.intervention import RunningEdge

D = 26


def model_and_optimizer(kind=torch.optim.AdamW, **settings):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    settings = {"lr": 0.01} | settings
    return model, kind(model.parameters(), **settings), se.ParameterSubset(dict(model.named_parameters()))


def train(model, optimizer, steps, start=0):
    for step in range(start, start + steps):
        x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (model(x) - 1).square().sum().backward()
        optimizer.step()


def random_rows(m):
    return torch.randn(m, D, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def test_the_weights_do_not_move_along_what_is_removed():
    model, optimizer, parameters = model_and_optimizer()
    rows, before = random_rows(2), parameters.flatten()
    with se.project_updates(optimizer, parameters, remove=rows) as arm:
        train(model, optimizer, 10)
    moved = parameters.flatten() - before
    assert (rows @ moved).abs().max() < 1e-12
    assert moved.norm() > 0.01
    assert 0 < arm.removed_share < 1


def test_the_weights_move_along_nothing_but_what_is_kept():
    model, optimizer, parameters = model_and_optimizer()
    rows, before = random_rows(2), parameters.flatten()
    with se.project_updates(optimizer, parameters, keep=rows):
        train(model, optimizer, 10)
    moved = parameters.flatten() - before
    q = torch.linalg.qr(rows.T)[0]
    torch.testing.assert_close(q @ (q.T @ moved), moved, atol=1e-12, rtol=0)
    assert moved.norm() > 0


def test_a_step_of_gradient_descent_is_its_closed_form():
    model, optimizer, parameters = model_and_optimizer(torch.optim.SGD)
    rows, before = random_rows(1), parameters.flatten()
    unit = rows[0] / rows[0].norm()
    with se.project_updates(optimizer, parameters, remove=rows) as arm:
        train(model, optimizer, 1)
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
    step = -0.01 * gradient
    torch.testing.assert_close(parameters.flatten(), before + step - (step @ unit) * unit)
    assert arm.removed_share == pytest.approx(float((step @ unit) ** 2 / step.square().sum()))
    assert arm.total == pytest.approx(float(step.square().sum()))


def test_without_their_own_direction_weights_move_on_a_sphere_to_second_order():
    """δ ⊥ θ at each step: |θ|² grows by |δ|² exactly."""
    model, optimizer, parameters = model_and_optimizer(torch.optim.AdamW, weight_decay=0.5)
    square = parameters.flatten().square().sum()
    with se.project_updates(optimizer, parameters, remove="theta") as arm:
        train(model, optimizer, 5)
    grown = float(parameters.flatten().square().sum() - square)
    assert grown == pytest.approx(arm.total - arm.removed, rel=1e-9)


def test_removing_nothing_changes_no_bit():
    ends = []
    for remove in (False, True):
        model, optimizer, parameters = model_and_optimizer()
        if remove:  # the window is never full
            se.project_updates(optimizer, parameters, remove=RunningEdge(parameters, window=30))
        train(model, optimizer, 12)
        ends.append(parameters.flatten())
    assert torch.equal(*ends)


@pytest.mark.parametrize("every", [1, 3])
def test_the_running_edge_is_that_of_what_was_asked_for(every):
    """By hand: windows of what the optimizer asked for, its first direction taken out of the next steps."""
    model, optimizer, parameters = model_and_optimizer()
    by_hand, other, own = model_and_optimizer()
    with se.project_updates(optimizer, parameters, remove=RunningEdge(parameters, window=3, every=every)):
        train(model, optimizer, 6 * every)
    asked, rows = [], None
    for step in range(6 * every):
        before = own.flatten()
        train(by_hand, other, 1, start=step)
        asked.append(own.flatten() - before)
        if rows is not None:
            out = (rows @ asked[-1]) @ rows
            with torch.no_grad():
                for name, piece in own.unflatten(out).items():
                    own.parameters[name].sub_(piece)
        strides = (
            torch.stack(asked[: len(asked) // every * every]).unflatten(0, (-1, every)).sum(1)
            if len(asked) >= every
            else []
        )
        if len(strides) >= 3:
            rows = torch.linalg.svd(strides[-3:], full_matrices=False).Vh[:1]
    torch.testing.assert_close(parameters.flatten(), own.flatten(), atol=1e-6, rtol=0)


def asked_window(subspace, updates):
    for step, update in enumerate(updates):
        subspace.saw(update, step + 1)


def test_bulk_random_and_crossed_directions_are_what_they_say():
    _, _, parameters = model_and_optimizer()
    updates = random_rows(6)
    theta = parameters.flatten()
    vh = torch.linalg.svd(updates, full_matrices=False).Vh
    bulk = RunningEdge(parameters, window=6, skip=3, k=2)
    asked_window(bulk, updates)
    found = bulk.directions(theta).double()
    torch.testing.assert_close((found @ vh[3:5].T).abs(), torch.eye(2, dtype=torch.float64), atol=1e-4, rtol=0)
    crossed = RunningEdge(parameters, window=6, across_weights=True)
    asked_window(crossed, updates)
    across = vh[0] - (vh[0] @ theta) * theta / theta.square().sum()
    cosine = crossed.directions(theta)[0].double() @ across / across.norm()
    assert abs(float(cosine)) == pytest.approx(1, abs=1e-6)
    drawn = [RunningEdge(parameters, window=6, k=2, at_random=True, seed=seed) for seed in (0, 0, 1)]
    for one in drawn:
        asked_window(one, updates)
    rows = [one.directions(theta).double() for one in drawn]
    assert torch.equal(rows[0], rows[1])
    assert not torch.allclose(rows[0], rows[2])
    torch.testing.assert_close(rows[0] @ rows[0].T, torch.eye(2, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows[0] @ vh.T @ vh, rows[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("remove", ["theta", "running"])
def test_it_continues_from_its_state(remove):
    def begun():
        model, optimizer, parameters = model_and_optimizer()
        given = "theta" if remove == "theta" else RunningEdge(parameters, window=3, every=2, at_random=True)
        return model, optimizer, parameters, se.project_updates(optimizer, parameters, remove=given)

    model, optimizer, parameters, arm = begun()
    train(model, optimizer, 9)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), arm.state_dict()))
    train(model, optimizer, 5, start=9)
    again, other, theirs, second = begun()
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    second.load_state_dict(saved[2])
    train(again, other, 5, start=9)
    assert torch.equal(parameters.flatten(), theirs.flatten())
    assert (arm.removed, arm.total, arm.steps) == (second.removed, second.total, second.steps)


def test_a_recorder_sees_what_was_done_whichever_came_first():
    for watch_first in (True, False):
        model, optimizer, parameters = model_and_optimizer()
        rows = random_rows(1)
        settings = {"parameters": ".", "window": 4, "verbose": False}
        if watch_first:
            recorder = se.watch(model, optimizer, **settings)
        se.project_updates(optimizer, parameters, remove=rows)
        if not watch_first:
            recorder = se.watch(model, optimizer, **settings)
        train(model, optimizer, 6)
        along = recorder.edge(center=False).directions(2).double() @ rows[0] / rows[0].norm()
        assert along.abs().max() < 1e-5


def test_closed_updates_are_the_optimizers_own_again():
    model, optimizer, parameters = model_and_optimizer()
    with se.project_updates(optimizer, parameters, keep=random_rows(1)):
        train(model, optimizer, 1)
    held = parameters.flatten()
    train(model, optimizer, 1, start=1)
    assert (parameters.flatten() - held).count_nonzero() == D
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_what_cannot_be_projected_is_named():
    model, optimizer, parameters = model_and_optimizer()
    rows = random_rows(1)
    cases = [
        ({}, "one of remove and keep"),
        ({"remove": rows, "keep": rows}, "one of remove and keep"),
        ({"remove": rows[:, :5]}, r"\(1, 5\)"),
        ({"remove": torch.cat([rows, rows])}, "nothing new"),
        ({"remove": rows[:0]}, "0 directions"),
        ({"remove": torch.zeros_like(rows)}, "none zero"),
        ({"remove": "edge"}, "'theta'"),
    ]
    for settings, said in cases:
        with pytest.raises(ValueError, match=said):
            se.project_updates(optimizer, parameters, **settings)
    with pytest.raises(ValueError, match=r"no torch\.optim\.Optimizer"):
        se.project_updates(object(), parameters, remove=rows)
    other = torch.optim.SGD([next(model.parameters())], lr=0.1)
    with pytest.raises(ValueError, match=r"does not hold '0.bias'"):
        se.project_updates(other, parameters, remove=rows)
    for settings in ({"every": 0}, {"k": 0}, {"skip": 19, "k": 1}, {"skip": 2, "at_random": True}):
        with pytest.raises(ValueError, match="RunningEdge"):
            RunningEdge(parameters, **settings)
    with pytest.raises(ValueError, match=r"parameters is a str.*recorder\.parameters"):
        se.project_updates(optimizer, ".", remove=rows)
    with pytest.raises(ValueError, match="directions are a list"):
        se.project_updates(optimizer, parameters, remove=[1.0] * parameters.dim)
    with se.project_updates(optimizer, parameters, remove=RunningEdge(parameters)) as arm:
        state = arm.state_dict()
    with (
        se.project_updates(optimizer, parameters, remove="theta") as arm,
        pytest.raises(ValueError, match="of another subspace"),
    ):
        arm.load_state_dict(state)
    next(model.parameters())._in_backward_optimizers = [optimizer]
    with pytest.raises(ValueError, match="inside the backward pass"):
        se.project_updates(optimizer, parameters, remove=rows)


def test_a_step_that_calls_that_of_its_base_class_is_projected_whole():
    class Jump(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            self.param_groups[0]["params"][0].data += torch.tensor([10.0, 0.0])

    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)  # from now on the hooks of both classes run
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = Jump([weight], lr=1.0)
    axis = torch.tensor([[1.0, 0.0]])
    with se.project_updates(optimizer, se.ParameterSubset({"w": weight}), remove=axis) as arm:
        weight.grad = torch.tensor([-3.0, -4.0])
        optimizer.step()
    assert weight.tolist() == [0.0, 4.0]
    assert arm.steps == 1


def test_the_optimizer_inside_a_wrapper_is_found():
    class Wrapper:
        def __init__(self, optimizer):
            self.optimizer = optimizer

    model, optimizer, parameters = model_and_optimizer()
    rows, before = random_rows(1), parameters.flatten()
    with se.project_updates(Wrapper(optimizer), parameters, remove=rows):
        train(model, optimizer, 2)
    assert (rows @ (parameters.flatten() - before)).abs().max() < 1e-12


def test_nothing_across_the_weights_is_no_direction():
    _, _, parameters = model_and_optimizer()
    theta = parameters.flatten()
    along = RunningEdge(parameters, window=2, across_weights=True)
    asked_window(along, torch.stack([theta, theta * 1.5]))
    assert along.directions(theta) is None
    assert along.directions(torch.zeros_like(theta)).shape == (1, D)


def test_an_update_that_is_not_finite_is_not_learnt():
    _, _, parameters = model_and_optimizer()
    edge = RunningEdge(parameters, window=3)
    rows = random_rows(4)
    rows[1, 0] = torch.nan
    asked_window(edge, rows)
    vh = torch.linalg.svd(rows[[0, 2, 3]], full_matrices=False).Vh
    cosine = edge.directions(parameters.flatten())[0].double() @ vh[0]
    assert abs(float(cosine)) == pytest.approx(1, abs=1e-6)


def test_an_update_without_a_part_along_what_is_removed_keeps_its_bits():
    ends = []
    for remove in (False, True):
        weight = torch.nn.Parameter(torch.tensor([0.1, 0.2]))
        optimizer = torch.optim.SGD([weight], lr=0.3)
        if remove:
            axis = torch.tensor([[1.0, 0.0]])
            se.project_updates(optimizer, se.ParameterSubset({"w": weight}), remove=axis)
        weight.grad = torch.tensor([0.0, 0.7])
        optimizer.step()
        ends.append(weight.detach().clone())
    assert torch.equal(*ends)


def test_an_infinite_entry_of_an_update_does_not_spoil_the_others():
    weight = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    with se.project_updates(optimizer, se.ParameterSubset({"w": weight}), remove=torch.ones(1, 4)) as arm:
        weight.grad = torch.tensor([1.0, float("inf"), 0.0, 0.0])
        optimizer.step()
    assert torch.isfinite(weight).tolist() == [True, False, True, True]
    assert arm.removed_share == 0


@pytest.mark.parametrize("size", [1e25, 1e-25])
def test_weights_whose_squared_length_leaves_float32_have_a_direction(size):
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]) * size)
    optimizer = torch.optim.SGD([weight], lr=0.1 * size)
    with se.project_updates(optimizer, se.ParameterSubset({"w": weight}), remove="theta") as arm:
        weight.grad = torch.tensor([3.0, 4.0])
        optimizer.step()
    assert arm.removed_share == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(weight.detach() / size, torch.tensor([3.0, 4.0]), rtol=1e-5, atol=0)


def narrow(remove, dtype=torch.bfloat16, **settings):
    """A net trained for some steps with small updates, in a narrow number format; its start, its end, the arm."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 20), torch.nn.Tanh(), torch.nn.Linear(20, 3)).to(dtype)
    parameters = se.select_parameters(model, "weight")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    with se.project_updates(optimizer, parameters, remove=remove(parameters)) as arm:
        for step in range(8):
            x = torch.randn(9, 6, generator=torch.Generator().manual_seed(step)).to(dtype)
            optimizer.zero_grad()
            (model(x) - 1).float().square().sum().backward()
            optimizer.step()
    return arm


def test_what_bfloat16_rounds_away_is_not_counted_as_taken_out_and_told():
    row = lambda parameters: torch.full((1, parameters.dim), 1.0)  # noqa: E731 - far below the spacing, each entry
    with pytest.warns(UserWarning, match="number format rounds what is taken out"):
        rounded = narrow(row)
    exact = narrow(row, torch.float32)
    assert exact.removed_share > 0
    assert rounded.removed_share != pytest.approx(exact.removed_share, rel=0.02)


@pytest.mark.filterwarnings("ignore:project_updates")
def test_a_running_edge_across_bfloat16_weights_has_directions():
    arm = narrow(lambda parameters: RunningEdge(parameters, window=3, across_weights=True))
    assert arm.removed_share > 0


def test_a_running_edge_of_other_parameters_is_refused():
    model, optimizer, parameters = model_and_optimizer()
    other = se.select_parameters(model, r"0\.")
    with pytest.raises(ValueError, match="running edge is of other parameters"):
        se.project_updates(optimizer, parameters, remove=RunningEdge(other, window=3))
