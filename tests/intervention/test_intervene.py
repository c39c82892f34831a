"""Displacements against their closed forms; what is restored; what is refused by name."""

import math

import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.intervention import CONTROLS


def layer_and_edge(seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.5))
    parameters = se.ParameterSubset({name: p for name, p in model.named_parameters() if name.startswith("0.")})
    edge = se.spectral_edge(torch.randn(8, parameters.dim), center=False)
    return model, parameters, edge


class Seen:
    """An evaluate that keeps the weights it was shown."""

    def __init__(self, parameters):
        self.parameters, self.weights = parameters, []

    def __call__(self, model):
        self.weights.append(self.parameters.flatten().double())
        return {"norm": float(self.weights[-1].norm())}


def run(strengths=(1.0,), **settings):
    model, parameters, edge = layer_and_edge()
    theta = parameters.flatten().double()
    seen = Seen(parameters)
    settings = {"parameters": parameters, "k": 2, "draws": 4, "strengths": strengths} | settings
    found = se.intervene(model, edge, seen, **settings)
    return theta, edge, seen.weights, found


def test_the_edge_is_removed_by_its_strength():
    theta, edge, weights, found = run((0.5, 1.0, -1.0), controls=[])
    v = edge.directions(2).double()
    for strength, moved in zip((0.5, 1.0, -1.0), weights[1:], strict=True):
        torch.testing.assert_close(moved, theta - strength * (v @ theta) @ v, atol=1e-6, rtol=0)
    assert found.norm == pytest.approx(float((v @ theta).norm()), rel=1e-5)
    assert found.share == pytest.approx(found.norm / float(theta.norm()), rel=1e-5)
    assert [outcome.strength for outcome in found.outcomes] == [0.5, 1.0, -1.0]


def test_every_control_moves_the_weights_as_far():
    theta, _, weights, found = run((0.5, 2.0))
    assert [o.arm for o in found.outcomes] == [
        *["edge"] * 2, *["isotropic"] * 8, *["weights"] * 8, *["span"] * 8, *["blocks"] * 8, *["theta"] * 2
    ]  # fmt: skip
    assert torch.equal(weights[0], theta)
    for outcome, moved in zip(found.outcomes, weights[1:], strict=True):
        assert float((moved - theta).norm()) == pytest.approx(abs(outcome.strength) * found.norm, rel=1e-4)


def test_controls_are_what_their_names_say():
    theta, edge, weights, found = run()
    by_arm = {}
    for outcome, moved in zip(found.outcomes, weights[1:], strict=True):
        by_arm.setdefault(outcome.arm, []).append((moved - theta) / found.norm)
    (own,) = by_arm["edge"]
    unit = theta / theta.norm()
    for direction in by_arm["weights"]:
        assert float(direction @ unit) == pytest.approx(float(own @ unit), abs=1e-5)
    span = edge.directions(edge.identifiable).double()
    for direction in by_arm["span"]:
        torch.testing.assert_close((span @ direction) @ span, direction, atol=1e-5, rtol=0)
    for direction in by_arm["blocks"]:
        for piece, mine in zip(direction.split([30, 5]), own.split([30, 5]), strict=True):
            torch.testing.assert_close(piece.sort().values, mine.sort().values, atol=1e-5, rtol=0)
    torch.testing.assert_close(by_arm["theta"][0], -unit, atol=1e-5, rtol=0)
    draws = torch.stack(by_arm["isotropic"])
    assert (draws @ draws.T).fill_diagonal_(0).abs().max() < 0.9  # different ones


@pytest.mark.parametrize("size", [0.3, -0.3])
@pytest.mark.parametrize("given", ["length", "coefficients", "displacement"])
def test_weights_are_moved_along(given, size):
    v = layer_and_edge()[2].directions(2)
    along = {"length": size, "coefficients": [size, 0.0], "displacement": size * v[0]}[given]
    theta, _, weights, found = run((1.0, -2.0), along=along, controls=["theta"])
    torch.testing.assert_close(weights[1], theta + size * v[0].double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(weights[2], theta - 2 * size * v[0].double(), atol=1e-6, rtol=0)
    assert found.norm == pytest.approx(0.3, rel=1e-5)
    sign = np.sign(size * float(v[0].double() @ theta))
    torch.testing.assert_close(weights[3], theta + 0.3 * sign * theta / theta.norm(), atol=1e-6, rtol=0)


def test_rows_need_not_be_orthogonal():
    """Two rows at 45 degrees span the same plane as two axes."""
    model, parameters, _ = layer_and_edge()
    theta = parameters.flatten().double()
    rows = torch.zeros(2, parameters.dim)
    rows[0, 0] = rows[1, 0] = rows[1, 1] = 1.0
    seen = Seen(parameters)
    se.intervene(model, rows, seen, parameters=parameters, controls=[])
    expected = theta.clone()
    expected[:2] = 0
    torch.testing.assert_close(seen.weights[1], expected, atol=1e-6, rtol=0)


def test_the_effect_of_a_quadratic_loss_is_its_closed_form():
    """L = ½|θ|²: without the edge it is ½|θ|² - ½|Pθ|², and any move of length n along -θ gives ½(|θ| - n)²."""
    model, parameters, edge = layer_and_edge()
    theta = parameters.flatten().double()
    found = se.intervene(
        model,
        edge,
        lambda m: {"loss": 0.5 * float(parameters.flatten().double().square().sum())},
        parameters=parameters,
        k=1,
        draws=6,
    )
    values = {o.arm: o.values["loss"] for o in found.outcomes}
    half = 0.5 * float(theta.square().sum())
    assert found.baseline["loss"] == pytest.approx(half)
    assert values["edge"] == pytest.approx(half - 0.5 * found.norm**2, rel=1e-6)
    assert values["theta"] == pytest.approx(0.5 * (float(theta.norm()) - found.norm) ** 2, rel=1e-5)
    matched = [o.values["loss"] for o in found.outcomes if o.arm == "weights"]
    assert matched == pytest.approx([values["edge"]] * 6, rel=1e-5)  # the loss sees length alone, and so the cosine


@pytest.mark.parametrize("how", ["returns", "raises", "names", "stopped"])
def test_everything_is_as_before_whatever_happens(how):
    model, parameters, edge = layer_and_edge()
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    calls = []

    def evaluate(m):
        calls.append(torch.rand(1).item())
        m.train()
        m(torch.randn(4, 6))  # counts in buffers, and draws random numbers
        if len(calls) == 4:
            if how == "raises":
                raise RuntimeError("no such batch")
            if how == "names":
                return {"other": 1.0}
            if how == "stopped":
                raise KeyboardInterrupt
        return {"loss": float(len(calls))}

    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    arguments = (model, edge, evaluate)
    settings = {"parameters": parameters, "draws": 3, "controls": ["isotropic"]}
    if how == "raises":
        with pytest.raises(RuntimeError, match="no such batch") as raised:
            se.intervene(*arguments, **settings)
        assert "isotropic, draw 1" in raised.value.__notes__[0]
    elif how == "names":
        with pytest.raises(ValueError, match=r"\['other'\].*isotropic, draw 1.*\['loss'\]"):
            se.intervene(*arguments, **settings)
    else:
        found = se.intervene(*arguments, **settings)
        assert found.complete == (how == "returns")
        assert len(found.outcomes) == (4 if how == "returns" else 2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(set(calls)) == 1  # the same random numbers in every arm


def test_the_table_and_the_comparison_say_the_same():
    _, _, _, found = run((0.5, 1.0))
    table = found.table
    assert table.columns == ["arm", "strength", "draw", "quantity", "value"]
    rows = {(row.statistic, row.null): row for row in found.comparison.rows}
    assert set(rows) == {(f"norm at {s}", control) for s in ("0.5", "1") for control in CONTROLS}
    row = rows["norm at 0.5", "span"]
    mine = table.filter(strength=0.5, arm="span")["value"].to_numpy()
    np.testing.assert_array_equal(row.values, mine)
    assert row.measured == table.filter(strength=0.5, arm="edge")["value"][0]
    assert row.effect == pytest.approx((row.measured - mine.mean()) / mine.std())
    assert se.over_runs([found.comparison] * 5).table.height == len(rows)
    assert found.to_pandas().shape == table.shape


def test_numbers_that_are_not_finite_stay_in_the_table_and_out_of_the_comparison():
    model, parameters, edge = layer_and_edge()
    values = iter([1.0, 2.0, math.inf, 3.0, math.nan])
    found = se.intervene(
        model, edge, lambda m: {"loss": next(values)}, parameters=parameters, draws=3, controls=["isotropic"]
    )
    assert not all(math.isfinite(v) for v in found.table["value"])
    (row,) = found.comparison.rows
    assert row.values.tolist() == [3.0]


def test_the_figure_has_a_line_an_arm_through_the_baseline(tmp_path):
    _, _, _, found = run((0.5, 1.0))
    figure = found.plot(tmp_path / "path.png")
    (axes,) = figure.axes
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1  # all names are on the picture
    lines = {line.get_label(): line for line in axes.lines}
    assert set(CONTROLS) | {"edge"} <= set(lines)
    assert list(lines["edge"].get_xdata()) == [0, 0.5, 1]
    assert lines["edge"].get_ydata()[0] == found.baseline["norm"]
    assert (tmp_path / "path.png").stat().st_size > 5000


def test_the_same_seed_moves_the_same_way():
    first, again, other = (run(seed=seed)[3].table["value"].to_list() for seed in (3, 3, 4))
    assert first == again != other


def test_a_control_that_cannot_be_had_is_left_out_or_refused():
    model, parameters, edge = layer_and_edge()
    rows = edge.directions(1)
    found = se.intervene(model, rows, Seen(parameters), parameters=parameters, draws=2)
    assert list(found.left_out) == ["span"]
    with pytest.raises(ValueError, match=r"'span' cannot be had.*SpectralEdge"):
        se.intervene(model, rows, Seen(parameters), parameters=parameters, controls=["span"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"strengths": []}, "strengths"),
        ({"strengths": [0.0]}, "none of them 0"),
        ({"strengths": [1.0, 1.0]}, "different"),
        ({"controls": ["other"]}, "other"),
        ({"controls": ["theta", "theta"]}, "at most once"),
        ({"draws": 0}, "draws = 0"),
        ({"k": 0}, "k = 0"),
        ({"along": torch.zeros(35)}, "nothing to move"),
        ({"along": torch.zeros(3, 3)}, r"shape \(3, 3\)"),
    ],
)
def test_what_is_out_of_range_is_named(settings, said):
    model, parameters, edge = layer_and_edge()
    with pytest.raises(ValueError, match=said):
        se.intervene(model, edge, Seen(parameters), **({"parameters": parameters} | settings))


@pytest.mark.parametrize("returned", [3.0, {}, {"loss": "low"}, {1: 2.0}, None])
def test_an_evaluate_that_returns_something_else_is_named(returned):
    model, parameters, edge = layer_and_edge()
    with pytest.raises(ValueError, match="evaluate returned"):
        se.intervene(model, edge, lambda m: returned, parameters=parameters)


def test_the_parameters_of_another_model_are_refused():
    model, _, edge = layer_and_edge()
    _, others, _ = layer_and_edge(1)
    with pytest.raises(ValueError, match="another model"):
        se.intervene(model, edge, Seen(others), parameters=others)


def test_directions_that_do_not_fit_are_named():
    model, parameters, _ = layer_and_edge()
    for rows, said in (
        (torch.ones(1, 3), r"\(1, 3\)"),
        (torch.ones(2, 35), "fewer dimensions"),
        (torch.full((1, 35), torch.nan), "not finite"),
    ):
        with pytest.raises(ValueError, match=said):
            se.intervene(model, rows, Seen(parameters), parameters=parameters)
    with torch.no_grad():
        for parameter in parameters.parameters.values():
            parameter.zero_()
    with pytest.raises(ValueError, match="along="):
        se.intervene(model, torch.ones(1, 35), Seen(parameters), parameters=parameters)
    found = se.intervene(model, torch.ones(1, 35), Seen(parameters), parameters=parameters, along=1.0, draws=2)
    assert set(found.left_out) == {"weights", "span", "theta"}
    assert found.share == math.inf


def test_weights_that_round_a_displacement_are_refused():
    model, parameters, _ = layer_and_edge()
    model.bfloat16()
    row = torch.zeros(1, parameters.dim)
    row[0, 0] = 1.0
    with pytest.raises(ValueError, match=r"bfloat16 rounds.*model\.float\(\)"):
        se.intervene(model, row, Seen(parameters), parameters=parameters, along=1e-3, draws=2)


def test_directions_of_different_lengths_are_one_span_and_rounding_is_no_direction():
    model, parameters, _ = layer_and_edge()
    rows = torch.eye(parameters.dim)[:2]
    seen = Seen(parameters)
    se.intervene(model, rows * torch.tensor([[1.0], [1e-9]]), seen, parameters=parameters, controls=[])
    expected = seen.weights[0].clone()
    expected[:2] = 0
    torch.testing.assert_close(seen.weights[1], expected, atol=1e-6, rtol=0)
    v = torch.randn(1, parameters.dim)
    with pytest.raises(ValueError, match="fewer dimensions"):
        se.intervene(model, torch.cat([v, v * (1 + 1e-7 * torch.randn_like(v))]), seen, parameters=parameters)


def test_strengths_that_are_nearly_one_are_kept_apart():
    _, _, _, found = run((1.0, 1.0000001), controls=["isotropic"])
    assert [(row.statistic, len(row.values)) for row in found.comparison.rows] == [
        ("norm at 1", 4),
        ("norm at 1.0000001", 4),
    ]


def test_a_quantity_that_is_never_finite_is_drawn_as_nothing(tmp_path):
    model, parameters, edge = layer_and_edge()
    found = se.intervene(model, edge, lambda m: {"no": math.nan, "ok": 1.0}, parameters=parameters, draws=2)
    assert len(found.plot().axes) == 2


def test_a_loss_that_was_computed_before_can_still_be_differentiated():
    layer = torch.nn.Linear(3, 2)
    loss = torch.tanh(layer(torch.ones(4, 3))).square().sum()
    expected = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    se.intervene(layer, torch.eye(8)[:1], lambda m: {"w": m.weight.sum().item()}, parameters=".", controls="theta")
    se.functional_modes(layer, torch.eye(8)[:1], torch.ones(4, 3), parameters=".", method="central_difference")
    for found, gradient in zip(torch.autograd.grad(loss, list(layer.parameters())), expected, strict=True):
        assert torch.equal(found, gradient)


def test_one_control_and_one_strength_need_no_list():
    layer = torch.nn.Linear(3, 2)
    found = se.intervene(
        layer, torch.eye(8)[:1], lambda m: {"w": m.weight.sum().item()}, parameters=".", controls="theta", strengths=0.5
    )
    assert {(outcome.arm, outcome.strength) for outcome in found.outcomes} == {("edge", 0.5), ("theta", 0.5)}


def test_rows_of_any_length_are_directions():
    model, parameters, _ = layer_and_edge()
    row = torch.randn(parameters.dim, generator=torch.Generator().manual_seed(3))
    found = se.intervene(model, 3 * row, Seen(parameters), parameters=parameters, along=2.0, controls=["theta"])
    assert found.norm == pytest.approx(2.0, rel=1e-5)


def test_small_steps_of_float64_weights_are_not_called_rounded():
    model, parameters, edge = layer_and_edge()
    model.double()
    found = se.intervene(model, edge, Seen(parameters), parameters=parameters, strengths=1e-7, controls=["theta"])
    assert found.complete


def test_strengths_that_differ_in_the_last_digit_stay_apart():
    model, parameters, edge = layer_and_edge()
    strengths = (0.3, 0.1 + 0.2)
    found = se.intervene(
        model, edge, Seen(parameters), parameters=parameters, strengths=strengths, controls="isotropic", draws=3
    )
    assert {row.statistic: len(row.values) for row in found.comparison.rows} == {
        "norm at 0.3": 3,
        "norm at 0.30000000000000004": 3,
    }


def test_numbers_of_numpy_are_numbers(tmp_path):
    model, parameters, edge = layer_and_edge()
    found = se.intervene(
        model, edge, Seen(parameters), parameters=parameters, controls="isotropic", draws=np.int64(3), seed=np.int64(1)
    )
    found.comparison.save(tmp_path / "comparison.json")
    with pytest.raises(TypeError):
        se.intervene(model, edge, Seen(parameters), parameters=parameters, draws=2.5)


def test_inside_autocast_the_displaced_weights_are_the_ones_that_are_read():
    model, parameters, edge = layer_and_edge()
    x = torch.randn(16, 6, generator=torch.Generator().manual_seed(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = model.eval()(x)
        found = se.intervene(
            model, edge, lambda m: {"size": float(m(x).float().square().mean())}, parameters=parameters, draws=3
        )
        assert torch.equal(model(x), before)
    assert len({outcome.values["size"] for outcome in found.outcomes}) > 5
