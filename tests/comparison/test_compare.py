"""The contract of compare: a test for each line of it."""

import random
from dataclasses import replace

import numpy as np
import polars
import pytest
import torch
from scipy import stats
from torch import nn

import spectral_edge as se
from spectral_edge.comparison import Isotropic, Weights
from support.linear_models import DIM, INS, OUTS, gaussian, linear_model, response, unit

COLUMNS = [
    *("direction", "statistic", "null", "measured", "null_mean", "null_std", "null_quantile95"),
    *("effect", "pvalue", "pvalue_adjusted", "draws"),
]


def energy(h):
    return float(h.square().sum())


def first_input(h):
    return float(h[0].square().sum())


@pytest.fixture
def layer():
    return linear_model()


@pytest.fixture
def edge():
    return se.spectral_edge(gaussian(10, DIM, seed=3))


INPUTS = gaussian(20, INS, seed=4)


def compare(layer, directions, statistics, inputs=INPUTS, **settings):
    model, parameters = layer
    return se.compare(model, directions, inputs, statistics, parameters=parameters, **{"draws": 30} | settings)


def test_the_table_is_the_closed_form_of_a_linear_model(layer):
    tested = torch.stack([unit(gaussian(DIM, seed=s)) for s in (7, 8)])
    found = compare(layer, tested, {"energy": energy, "first": first_input}, nulls="isotropic", draws=50, seed=5)
    assert found.table.columns == COLUMNS
    draws = torch.cat(list(se.iterate_random_directions(50, layer[1], seed=5)))
    pvalues = []
    for number, direction in enumerate(tested, start=1):
        for name, statistic in (("energy", energy), ("first", first_input)):
            null = np.array([statistic(response(v, INPUTS)) for v in draws])
            measured = statistic(response(direction, INPUTS))
            (row,) = found.table.filter(direction=number, statistic=name).to_dicts()
            assert row["null"] == "isotropic"
            assert row["draws"] == 50
            assert row["measured"] == pytest.approx(measured, rel=1e-5)
            assert row["null_mean"] == pytest.approx(null.mean(), rel=1e-5)
            assert row["null_std"] == pytest.approx(null.std(), rel=1e-5)
            assert row["null_quantile95"] == pytest.approx(np.quantile(null, 0.95), rel=1e-5)
            assert row["effect"] == pytest.approx((measured - null.mean()) / null.std(), rel=1e-4)
            assert row["pvalue"] == pytest.approx((1 + (null >= measured).sum()) / 51)
            pvalues.append(row["pvalue"])
    np.testing.assert_allclose(found.table["pvalue_adjusted"], stats.false_discovery_control(pvalues))


def test_p_values_are_adjusted_within_a_null(layer, edge):
    table = compare(layer, edge, {"energy": energy, "first": first_input}, k=2).table
    for null in table["null"].unique():
        part = table.filter(null=null)
        np.testing.assert_allclose(part["pvalue_adjusted"], stats.false_discovery_control(part["pvalue"]))


def test_directions_of_any_length_are_held_against_unit_draws_as_unit_vectors(layer):
    direction = gaussian(1, DIM, seed=9)
    short, long = (compare(layer, scale * direction, energy, nulls="isotropic").rows[0] for scale in (0.01, 50))
    assert short.measured == pytest.approx(long.measured, rel=1e-5)
    assert short.measured == pytest.approx(energy(response(unit(direction[0]), INPUTS)), rel=1e-5)


def test_directions_are_scaled_before_they_are_rounded():
    model = torch.nn.Linear(INS, OUTS, bias=False).to(torch.bfloat16)
    length = se.of_direction(lambda v: float(v.double().norm()), name="length")
    settings = {"parameters": se.select_parameters(model, "weight"), "draws": 5, "nulls": "blocks"}
    direction = unit(gaussian(DIM))[None]
    ours, scaled = (
        se.compare(model, scale * direction, INPUTS.bfloat16(), length, **settings) for scale in (1.0, 7.02)
    )
    assert ours.rows[0].measured == pytest.approx(scaled.rows[0].measured, abs=1e-3)


def test_numpy_integers_are_integers(layer, tmp_path):
    compare(layer, gaussian(1, DIM, seed=1), energy, seed=np.int64(3), draws=np.int64(9)).save(tmp_path / "r.json")
    assert se.load_comparison(tmp_path / "r.json").protocol["seed"] == 3


def test_small_values_can_be_asked_for(layer):
    direction = unit(gaussian(DIM, seed=9))[None]
    greater, less = (compare(layer, direction, energy, nulls="isotropic", alternative=a) for a in ("greater", "less"))
    (high,), (low,) = greater.table["pvalue"], less.table["pvalue"]
    assert high + low == pytest.approx(1 + 1 / 31)  # without ties
    assert greater.table["effect"].to_list() == less.table["effect"].to_list()


def test_an_edge_is_tested_up_to_its_position_unless_k_says_otherwise(layer, edge):
    assert compare(layer, edge, energy, nulls="span").table["direction"].to_list() == list(range(1, edge.position + 1))
    found = compare(layer, edge, energy, k=3, nulls="span").table
    directions = edge.directions(3)
    assert found["direction"].to_list() == [1, 2, 3]
    assert found["measured"].to_list() == pytest.approx([energy(response(v, INPUTS)) for v in directions], rel=1e-5)


def test_left_out_nulls_are_those_that_can_be_had(layer, edge):
    labels = np.arange(20) % 5
    statistics = [energy, se.Concentration(labels, 5)]
    table = compare(layer, edge, statistics, k=1).table
    of = {name: table.filter(statistic=name)["null"].to_list() for name in ("energy", "concentration")}
    assert of == {
        "energy": ["isotropic", "span", "weights", "blocks"],
        "concentration": ["isotropic", "span", "weights", "blocks", "inputs"],
    }
    without_window = compare(layer, edge.directions(1), energy)
    assert without_window.table["null"].to_list() == ["isotropic", "weights", "blocks"]
    assert set(without_window.left_out) == {"span", "inputs"}


def test_statistics_of_directions_and_of_sets(layer, edge):
    largest = se.of_direction(lambda v: float(v.abs().max()), name="largest")
    spread = se.of_set(lambda h: float(h.flatten(1).double().norm(dim=1).prod()), name="spread")
    found = compare(layer, edge, [largest, spread, energy], k=3, nulls=["isotropic", "weights"], seed=2)
    rows = found.table.filter(statistic="largest", null="isotropic")
    assert rows["direction"].to_list() == [1, 2, 3]
    assert rows["measured"].to_list() == pytest.approx(edge.directions(3).abs().max(dim=1).values.tolist())
    (of_set,) = found.table.filter(statistic="spread", null="isotropic").to_dicts()
    assert (of_set["direction"], of_set["draws"]) == (None, 30)
    draws = torch.cat(list(se.iterate_random_directions(90, layer[1], seed=2))).reshape(30, 3, DIM).double()
    # The nearest orthonormal rows, as those of an edge are: the polar factor of each set.
    left, _, right = torch.linalg.svd(draws, full_matrices=False)
    products = [np.prod([float(response(v.float(), INPUTS).norm()) for v in three]) for three in left @ right]
    assert of_set["null_mean"] == pytest.approx(np.mean(products), rel=1e-4)
    (single,) = found.table.filter(statistic="energy", null="isotropic", direction=1).to_dicts()
    assert single["draws"] == 30


def test_a_set_has_the_inner_products_of_the_tested_directions(layer, edge):
    def gram_of(h):  # of the directions, from their responses on the unit vectors
        flat = h.flatten(1).double()
        return float((flat @ flat.T - torch.eye(len(h))).abs().max() + 1)

    found = compare(
        layer, edge, {"gram": se.of_set(gram_of)}, torch.eye(INS), k=3, nulls=["isotropic", "span", "weights"]
    )
    for row in found.rows:
        assert row.measured == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(row.values, 1, atol=1e-5)


def test_blocks_has_no_sets_and_says_so(layer, edge):
    spread = se.of_set(lambda h: float(h.norm()), name="spread")
    found = compare(layer, edge, [spread, energy], k=2)
    assert "inner products" in found.left_out["blocks"]
    assert found.table.filter(null="blocks")["statistic"].unique().to_list() == ["energy"]
    with pytest.raises(ValueError, match=r"'blocks' cannot be drawn: it has no sets"):
        compare(layer, edge, spread, k=2, nulls="blocks")
    others = se.OtherPhases([se.spectral_edge(gaussian(6, DIM, seed=s)) for s in range(4)], k=2)
    assert compare(layer, edge, spread, k=2, nulls=others).table["draws"].to_list() == [4]
    with pytest.raises(ValueError, match=r"sets of 2 directions and sets of 3 are asked for"):
        compare(layer, edge, spread, k=3, nulls=others)


def test_draws_that_differ_by_rounding_are_ties(layer):
    labels = np.arange(20) % 5
    (row,) = compare(layer, gaussian(1, DIM, seed=1), se.VarianceShare(labels, 5), nulls="inputs").table.to_dicts()
    assert (row["effect"], row["pvalue"]) == (None, 1.0)


def test_a_set_statistic_that_is_odd_in_a_later_member_is_refused(layer, edge):
    with pytest.raises(ValueError, match="sign of an edge direction is arbitrary"):
        compare(layer, edge, {"odd": se.of_set(lambda h: float(h[2].sum()))}, k=3, nulls="span")


def test_a_set_of_matched_draws_has_one_for_each_direction(layer, edge):
    theta = unit(layer[1].flatten())
    cosines = se.of_set(lambda h: float(h.square().sum()), name="any")
    found = compare(layer, edge, {"any": cosines, "cosine": se.of_direction(lambda v: float((v @ theta) ** 2))}, k=2)
    for row in found.table.filter(statistic="cosine", null="weights").to_dicts():
        assert row["null_mean"] == pytest.approx(row["measured"], rel=1e-3)
        assert row["effect"] is None  # all draws have the direction's own cosine: their spread is rounding
    assert found.table.filter(statistic="any", null="weights")["draws"].to_list() == [30]


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(11, 8)
        self.mix = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.5)

    def forward(self, input_ids, attention_mask):
        return self.drop(self.mix(self.embed(input_ids)) * attention_mask[..., None]).tanh()


def test_inputs_may_be_a_dict_and_responses_of_any_shape():
    model = Tokens()
    parameters = se.select_parameters(model, "mix")
    ids = torch.randint(11, (9, 5), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": ids, "attention_mask": torch.ones(9, 5)}
    tested = unit(gaussian(parameters.dim))[None]
    shapes = set()

    def size(h):
        shapes.add(tuple(h.shape))
        return energy(h)

    arguments = {"parameters": parameters, "nulls": "isotropic", "draws": 20}
    whole = se.compare(model, tested, inputs, size, **arguments)
    parts = se.compare(model, tested, inputs, size, batch_size=2, **arguments)
    assert shapes == {(9, 5 * 8)}
    np.testing.assert_allclose(whole.rows[0].values, parts.rows[0].values, rtol=1e-5)
    named = se.compare(model, tested, inputs, size, forward=lambda m, batch: m(**batch)[:, -1], **arguments)
    assert named.rows[0].measured < whole.rows[0].measured


def test_one_number_an_input_is_a_response_of_one_column(layer):
    first = {"forward": lambda m, x: m(x)[:, 0]}
    shapes = []
    found = compare(layer, gaussian(1, DIM, seed=1), lambda h: float(shapes.append(h.shape) or h.norm()), **first)
    assert set(shapes) == {(20, 1)}
    direction = unit(gaussian(DIM, seed=1))
    assert found.rows[0].measured == pytest.approx(float(response(direction, INPUTS)[:, 0].norm()), rel=1e-5)


@pytest.mark.parametrize("nulls", ["weights", ("weights",), {"weights"}, Weights(), [Weights()]])
def test_nulls_by_name_or_as_objects_alone_or_several(layer, nulls):
    found = compare(layer, gaussian(1, DIM, seed=1), energy, nulls=nulls)
    assert found.table["null"].to_list() == ["weights"]


def test_model_mode_random_state_and_weights_are_left_as_found(layer, edge):
    model = Tokens().train()
    model.mix.eval()
    parameters = se.select_parameters(model, "mix")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate()

    def noisy(m, batch):
        torch.rand(1)
        random.random()
        return m(batch, torch.ones(len(batch), batch.shape[1]))

    ids = torch.randint(11, (9, 5), generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="random operation"):
        se.compare(model, gaussian(1, parameters.dim), ids, energy, parameters=parameters, forward=noisy, draws=5)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (model.training, model.mix.training, model.drop.training) == (True, False, True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_the_expected_time_is_printed_first(layer, edge, capsys):
    def slow_to_say(h):
        return energy(h)

    compare(layer, edge, slow_to_say, k=1, nulls="isotropic")
    assert "30" in capsys.readouterr().err


def test_interrupted_it_returns_what_is_done(layer):
    calls = []

    def stops(h):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return energy(h)

    found = compare(layer, unit(gaussian(DIM, seed=1))[None], stops, nulls=["isotropic", "weights"])
    first, second = found.table.to_dicts()
    assert not found.complete
    assert "interrupted" in repr(found)
    assert (first["null"], first["draws"]) == ("isotropic", 16)  # two whole blocks
    assert first["effect"] is not None
    assert (second["null"], second["draws"], second["effect"], second["pvalue"]) == ("weights", 0, None, None)


def test_the_result_has_a_line_a_page_a_plot_and_a_file(layer, edge, tmp_path):
    found = compare(layer, edge, {"energy": energy, "first": first_input}, k=2)
    assert "\n" not in repr(found)
    assert "<table" in found._repr_html_()
    figure = found.plot(tmp_path / "figure.png")
    assert len(figure.axes) == 2
    assert (tmp_path / "figure.png").stat().st_size > 5_000
    found.save(tmp_path / "result.json")
    again = se.load_comparison(tmp_path / "result.json")
    assert again.table.equals(found.table)
    assert (again.protocol, again.alternative, again.complete) == (found.protocol, found.alternative, True)
    pandas = pytest.importorskip("pandas")
    assert isinstance(found.to_pandas(), pandas.DataFrame)
    assert list(found.to_pandas().columns) == COLUMNS


def test_rows_beyond_a_level(layer):
    strong = torch.zeros(OUTS, INS)
    strong[:, 0] = 0.5
    spike = torch.cat([10 * torch.ones(20, 1), gaussian(20, INS - 1)], dim=1)
    found = compare(layer, strong.reshape(1, -1), energy, spike, nulls="isotropic", draws=99)
    assert found.beyond(0.05)["pvalue"].to_list() == [0.01]
    assert isinstance(found.beyond(0.05), polars.DataFrame)


def test_no_row_is_asked_of_a_level_that_only_some_can_reach(layer, edge):
    other = se.OtherPhases([edge])  # one draw: its p-value is at least 1/2
    found = compare(layer, edge, energy, k=1, nulls=["isotropic", other], draws=99)
    assert set(found.beyond(0.5)["null"]) <= {"isotropic", "other_phases"}
    with pytest.raises(ValueError, match=r"with 99 draws"):
        found.beyond(0.001)


def test_a_comparison_of_a_set_says_how_many_directions_it_has(layer, edge):
    rank = se.of_set(lambda h: float(torch.linalg.matrix_rank(h.flatten(1))), name="rank")
    assert repr(compare(layer, edge, rank, k=3, nulls="isotropic", draws=5)).startswith("Comparison(3 directions")


def test_the_expected_time_counts_permutations(layer, capsys):
    labels = np.arange(len(INPUTS)) % 5
    compare(layer, gaussian(1, DIM), se.Concentration(labels, 5), nulls="inputs", draws=12)
    assert "12 permutations" in capsys.readouterr().err


def test_a_protocol_is_what_a_file_gives_back(layer, tmp_path):
    found = replace(compare(layer, gaussian(1, DIM), energy, nulls="isotropic", draws=5), protocol={"pairs": (1, 2)})
    found.save(tmp_path / "c.json")
    assert se.load_comparison(tmp_path / "c.json").protocol == found.protocol


def test_directions_of_whole_numbers_are_scaled_like_others(layer):
    whole = torch.tensor([[1] * 7 + [0] * (DIM - 7)])
    for rows in (whole, whole.bool(), whole.numpy()):
        found = compare(layer, rows, energy, nulls="isotropic", draws=5)
        assert found.rows[0].measured == pytest.approx(
            compare(layer, whole.double(), energy, nulls="isotropic", draws=5).rows[0].measured, rel=1e-6
        )


def test_a_statistic_of_a_subclass_keeps_its_own_function(layer):
    class Power(se.Concentration):
        exponent = 1

        def function(self, response):
            return response.double().norm(dim=1).numpy() ** self.exponent

    labels = np.arange(len(INPUTS)) % 5

    def power(exponent):
        statistic = Power(labels, 5)
        object.__setattr__(statistic, "exponent", exponent)
        return statistic

    together = compare(layer, gaussian(1, DIM), {"1": power(1), "6": power(6)}, nulls="isotropic", draws=5)
    for name, exponent in (("1", 1), ("6", 6)):
        alone = compare(layer, gaussian(1, DIM), {name: power(exponent)}, nulls="isotropic", draws=5)
        row = next(row for row in together.rows if row.statistic == name)
        assert (row.measured, row.values.tolist()) == (alone.rows[0].measured, alone.rows[0].values.tolist())


def test_what_is_kept_are_functions_of_tested_and_drawn_responses(layer):
    found = compare(layer, gaussian(2, DIM), energy, nulls=["isotropic", "weights"], draws=5, keep={"h": lambda h: h})
    assert {name: array.shape for name, array in found.kept["h"].items()} == {
        "tested": (2, len(INPUTS), OUTS),
        "isotropic": (5, len(INPUTS), OUTS),
        "weights": (10, len(INPUTS), OUTS),
    }
    row = found.rows[0]
    np.testing.assert_allclose((found.kept["h"]["isotropic"] ** 2).sum((1, 2)), row.values, rtol=1e-5)


def test_sets_and_single_draws_share_directions(layer, edge):
    rows = torch.cat(list(se.iterate_random_directions(6, layer[1], seed=0)))
    spread = se.of_set(lambda h: float(torch.linalg.det(h.flatten(1) @ h.flatten(1).T)), name="spread", size=2)
    found = compare(layer, edge, {"energy": energy, "spread": spread}, k=3, nulls=Isotropic(6))
    singles, sets = (next(row for row in found.rows if row.statistic == name) for name in ("energy", "spread"))
    np.testing.assert_allclose(singles.values, [energy(response(row, INPUTS)) for row in rows], rtol=1e-4)
    for number, pair in enumerate(rows.split(2)):
        left, _, right = torch.linalg.svd(pair.double(), full_matrices=False)
        orthonormal = left @ right  # the pair with the Gram matrix of two edge directions that moves it least
        flat = torch.stack([response(row, INPUTS.double()) for row in orthonormal]).flatten(1)
        assert sets.values[number] == pytest.approx(float(torch.linalg.det(flat @ flat.T)), rel=1e-3)
    assert len(sets.values) == 3
