"""Models without a forward-mode derivative are read by central differences, and it is said."""

import pytest
import torch
from torch import Tensor, nn

import spectral_edge as se


class Cube(torch.autograd.Function):
    """x³ with a backward and no forward-mode derivative, as custom kernels have it."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return 3 * x**2 * gradient


class Net(nn.Module):
    def __init__(self, cube) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 5)
        self.cube = cube

    def forward(self, x: Tensor) -> Tensor:
        return self.cube(self.first(x))


def read(model, x):
    return model(x)


INPUTS = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))


def setup(cube):
    model = Net(cube)
    subset = se.select_parameters(model, "weight")
    return model, subset, se.random_directions(3, subset.dim, seed=0)


def exact():
    model, subset, directions = setup(lambda x: x**3)
    return se.functional_modes(model, directions, INPUTS, parameters=subset, forward=read).response


@pytest.mark.parametrize(
    ("cube", "why"),
    [
        (Cube.apply, "cannot be differentiated in forward mode"),
        (lambda x: torch.from_numpy(x.detach().numpy() ** 3), "cannot be differentiated in forward mode"),
    ],
    ids=["custom function", "leaves torch"],
)
def test_central_differences_take_over_and_say_so(cube, why):
    model, subset, directions = setup(cube)
    with pytest.warns(UserWarning, match=why):
        found = se.functional_modes(model, directions, INPUTS, parameters=subset, forward=read, relative_epsilon=1e-3)
    assert found.method == "central_difference"
    assert found.epsilon == pytest.approx(1e-3 * float(subset.flatten().norm()))
    torch.testing.assert_close(found.response, exact(), atol=2e-3, rtol=1e-2)


def test_a_detached_forward_is_not_taken_for_a_function_that_does_not_move():
    model, subset, directions = setup(lambda x: x.detach() ** 3)
    with pytest.warns(UserWarning, match="differs by 100 % from difference quotients"):
        found = se.functional_modes(model, directions, INPUTS, parameters=subset, forward=read)
    assert found.energy.min() > 0


def test_a_derivative_of_a_part_of_the_function_is_not_taken_for_all_of_it():
    """Cube of the first layer through ``.data``, plus the layer itself: the derivative sees the second term only."""
    model, subset, directions = setup(lambda x: x + x.data**3)
    with pytest.warns(UserWarning, match=r"detach, no_grad or \.data"):
        found = se.functional_modes(model, directions, INPUTS, parameters=subset, forward=read, relative_epsilon=1e-3)
    assert found.method == "central_difference"
    whole, subset, directions = setup(lambda x: x + x**3)
    exact = se.functional_modes(whole, directions, INPUTS, parameters=subset, forward=read)
    torch.testing.assert_close(found.response, exact.response, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("relative_epsilon", [0.005, 0.5])
def test_a_step_that_is_too_long_says_nothing_against_the_derivative(recwarn, relative_epsilon):
    """Of tanh(100 x), quotients of half a weight's length are far from the derivative, and from each other."""
    model, subset, directions = setup(lambda x: torch.tanh(100 * x))
    found = se.functional_modes(
        model, directions, INPUTS, parameters=subset, forward=read, relative_epsilon=relative_epsilon
    )
    assert found.method == "jvp"
    assert not [w for w in recwarn if "differentiated" in str(w.message)]


def test_a_step_that_the_number_format_rounds_away_says_nothing_against_the_derivative(recwarn):
    torch.manual_seed(0)
    layer = nn.Linear(50, 40, bias=False).bfloat16()
    subset, x = se.select_parameters(layer, "weight"), torch.randn(20, 50).bfloat16()
    direction = se.random_directions(1, subset.dim, seed=0)
    found = se.functional_modes(layer, direction, x, parameters=subset, forward=read, relative_epsilon=1e-6)
    assert found.method == "jvp"
    assert not [w for w in recwarn if "differentiated" in str(w.message)]


def test_random_states_and_buffers_are_those_of_before():
    class Counting(nn.Linear):
        def forward(self, x):
            self.calls.add_(1)
            return super().forward(x) + 0 * torch.rand(1)

    model = Counting(4, 3)
    model.register_buffer("calls", torch.zeros(1))
    subset, state = se.select_parameters(model, "weight"), torch.get_rng_state()
    for method in ("finite_difference", "central_difference"):
        directions = torch.eye(subset.dim)[:1]
        se.functional_modes(model, directions, INPUTS, parameters=subset, forward=read, method=method)
    assert model.calls.tolist() == [0]
    assert torch.equal(torch.get_rng_state(), state)


def test_a_function_that_truly_does_not_move_has_response_zero_and_no_warning(recwarn):
    model, subset, directions = setup(lambda x: x * 0)
    found = se.functional_modes(model, directions, INPUTS, parameters=subset, forward=read)
    assert found.method == "jvp"
    assert not found.response.any()
    assert not [w for w in recwarn if "spectral_edge" in w.filename or "functional_modes" in str(w.message)]


def test_mistakes_of_the_caller_are_not_taken_for_missing_derivatives(recwarn):
    model, subset, directions = setup(lambda x: x**3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        se.functional_modes(model, directions, INPUTS[:, :2], parameters=subset, forward=read)
    assert not [w for w in recwarn if "functional_modes" in str(w.message)]


def test_the_error_of_central_differences_falls_with_the_square_of_the_step():
    """x³ about w·x: [(w+e)³ - (w-e)³]/2e - 3w² = e² exactly, at w = x = 1."""
    layer = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(layer.weight)
    subset = se.select_parameters(layer, "weight")
    for step in (1e-1, 1e-2):
        found = se.functional_modes(
            layer,
            torch.ones(1, 1, dtype=torch.float64),
            torch.ones(1, 1, dtype=torch.float64),
            parameters=subset,
            forward=lambda m, x: m(x) ** 3,
            method="central_difference",
            relative_epsilon=step,
        )
        assert float(found.response) == pytest.approx(3 + step**2, abs=1e-9)


def test_weights_are_put_back_exactly_even_if_the_forward_fails():
    model, subset, directions = setup(lambda x: x**3)
    before = [p.detach().clone() for p in model.parameters()]
    calls = []

    def fails_later(m, x):
        calls.append(1)
        if len(calls) == 4:
            raise KeyError("somewhere inside")
        return m(x)

    with pytest.raises(KeyError):
        se.functional_modes(
            model, directions, INPUTS, parameters=subset, forward=fails_later, method="central_difference"
        )
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    assert model.training


def test_a_compiled_model_is_read_like_the_plain_one():
    model, subset, directions = setup(lambda x: x**3)
    compiled = torch.compile(model, backend="eager")
    found = se.functional_modes(compiled, directions, INPUTS, parameters=subset, forward=read)
    assert found.method == "jvp"
    torch.testing.assert_close(found.response, exact())


def test_directions_of_other_parameters_are_refused_with_the_remedy():
    model, _, directions = setup(lambda x: x**3)
    with pytest.raises(ValueError, match=r"parameters=recorder\.parameters"):
        se.functional_modes(model, directions, INPUTS, parameters=se.select_parameters(model, "bias"), forward=read)


def test_each_module_is_left_in_its_own_mode():
    """A frozen batch norm is in eval mode inside a model that trains."""
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)).train()
    model[1].eval()
    subset = se.select_parameters(model, "0.weight")
    se.functional_modes(model, se.random_directions(1, subset.dim, seed=0), INPUTS, parameters=subset, forward=read)
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_steps_that_the_number_format_cannot_take_are_warned_of():
    torch.manual_seed(0)
    layer = nn.Linear(50, 40, bias=False).bfloat16()
    subset = se.select_parameters(layer, "weight")
    direction = se.random_directions(1, subset.dim, seed=0)
    x = torch.randn(20, 50).bfloat16()

    def moved(step):
        return se.functional_modes(
            layer, direction, x, parameters=subset, forward=read, method="central_difference", relative_epsilon=step
        )

    with pytest.warns(UserWarning, match="rounded by (1|2|3|4)[0-9] % of its length"):
        coarse = moved(0.005)
    exact = x.double() @ direction.double().reshape(40, 50).T
    error = (coarse.response[0].double() - exact).norm() / exact.norm()
    assert error > 0.1  # what the warning is about
