"""Each mistake has an error that names the thing, the place and the remedy."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.comparison import Isotropic
from spectral_edge.store import RunCorruptError, RunMissingError, SchemaError, StoreError
from support.linear_models import DIM, INS, gaussian, linear_model, unit

INPUTS = gaussian(12, INS)
V = unit(gaussian(DIM, seed=1))[None]


def energy(h):
    return float(h.square().sum())


def compare(statistics=energy, directions=V, inputs=INPUTS, **settings):
    model, parameters = linear_model()
    settings = {"parameters": parameters, "draws": 20} | settings
    return se.compare(model, directions, inputs, statistics, **settings)


@dataclass(frozen=True)
class OfLength:
    """Draws of any length, along the first coordinate."""

    length: float
    name: str = "mine"
    per_direction = False

    def sampler(self, space, direction):
        return lambda stream: torch.eye(DIM)[0] * self.length


def nan_for(number):
    calls = iter(range(10_000))
    return lambda h: float("nan") if next(calls) == number else energy(h)


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"mine": lambda h: float("inf")}, r"'mine' of direction 1 is inf"),
        ({"mine": lambda h: h.square().sum(1)}, r"'mine' of direction 1 is an array of shape \(12,\)"),
        ({"mine": lambda h: "much"}, "'mine' of direction 1 is str"),
        ({"mine": nan_for(5)}, r"'mine' of draw 2 of the null 'isotropic' is nan"),
        ({"mine": lambda h: float(h.sum())}, r"'mine'.* sign of an edge direction is arbitrary"),
        ({"mine": se.of_direction(lambda v: float(v[0]))}, r"'mine'.* sign of an edge direction is arbitrary"),
        ({"mine": se.of_set(lambda h: float(h.sum()))}, r"'mine'.* sign of an edge direction is arbitrary"),
        ([energy, energy], "two statistics are called 'energy'"),
        ([], "no statistic"),
        (3, "cannot be called"),
        (se.Concentration, "is a class, not an object of it"),
        ({7: energy}, "a statistic is called 7; names are strings"),
        ({"mine": lambda h: energy(h.mul_(2))}, "'mine' changes the tensor that it is given"),
        ({"mine": lambda h: float((h.numpy().__imul__(2) ** 2).sum())}, "'mine' changes the tensor that it is given"),
        (se.Concentration(np.arange(12) % 5, 5, component=9), r"component = 9 is outside 1 … 4"),
        (se.Concentration(np.arange(12) % 5, 5, component=-1), r"component = -1 is outside 1 … 4"),
        (se.CharacterShare([[0, 1]], 5, "sum"), "1 pairs for 12 inputs"),
    ],
)
def test_statistics(statistics, message):
    with pytest.raises(ValueError, match=message):
        compare(statistics, nulls="isotropic")


@pytest.mark.parametrize(
    "statistic",
    [
        se.of_direction(lambda v: float(v[DIM - 1])),
        lambda h: float(h[0, -1]),
        se.of_set(lambda h: float(h[0, 0, -1])),
    ],
    ids=["direction", "response", "set"],
)
def test_a_statistic_of_the_sign_is_refused_also_where_it_is_0_at_the_tested_direction(statistic):
    first_output_only = torch.eye(DIM)[:1]
    with pytest.raises(ValueError, match="sign of an edge direction is arbitrary"):
        compare({"mine": statistic}, directions=first_output_only, nulls="isotropic")


def test_a_statistic_that_takes_something_unknown():
    energy.takes = "weights"
    try:
        with pytest.raises(ValueError, match=r"'energy' takes 'weights'; choose response, direction, set"):
            compare(energy)
    finally:
        del energy.takes


def test_the_direction_is_named():
    two = torch.cat([V, unit(gaussian(DIM, seed=2))[None]])
    with pytest.raises(ValueError, match=r"of direction 2 is nan"):
        compare({"mine": nan_for(2)}, two, nulls="isotropic")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nulls": "span"}, r"'span' cannot be drawn: it needs the window of updates; pass a SpectralEdge"),
        ({"nulls": ["isotropic", "span"]}, r"'span' cannot be drawn.*isotropic can"),
        ({"nulls": "inputs"}, r"'inputs' cannot be drawn: no statistic has labels"),
        ({"nulls": "gaussian"}, r"'gaussian' is unknown; choose isotropic, span, weights, blocks, inputs"),
        ({"nulls": []}, "nulls is empty"),
        ({"nulls": OfLength(2.0)}, r"null 'mine': draw 0 has length 2, not 1"),
        ({"nulls": OfLength(0.0)}, r"null 'mine': draw 0 has length 0, not 1"),
        ({"nulls": OfLength(1.0, name="inputs")}, "called 'inputs', the name of permuted labels"),
        ({"nulls": se.OtherPhases}, "has no sampler; pass a name, or an object"),
        ({"directions": torch.empty(0, DIM)}, "directions: there are none"),
        ({"draws": 1e2}, r"draws = 100\.0 is not a whole number"),
        ({"k": 1.0}, r"k = 1\.0 is not a whole number"),
        ({"threads": 0}, "threads = 0"),
        ({"keep": energy}, "give a mapping from names to functions"),
        ({"parameters": linear_model()[1]}, "'weight' is a parameter of another model"),
        ({"parameters": se.ParameterSubset({"other": torch.ones(DIM)})}, "Linear has no parameter 'other'"),
        ({"nulls": ["span", "span"], "directions": se.spectral_edge(gaussian(6, DIM))}, "'span' is asked for twice"),
        ({"parameters": "("}, r"'\(' is no regular expression"),
        ({"parameters": "mixer"}, "'mixer' matches no parameter of this model; it has weight"),
        ({"parameters": None}, "Say which weights: parameters=.*; it has weight"),
        ({"directions": gaussian(1, DIM + 1)}, rf"directions must be \(k, {DIM}\)"),
        ({"directions": torch.zeros(1, DIM)}, "direction 1 is zero"),
        ({"directions": torch.full((1, DIM), torch.nan)}, "direction 1 is zero or not finite"),
        ({"draws": 1}, "draws = 1"),
        ({"seed": -1}, "seed = -1"),
        ({"alternative": "two-sided"}, "'two-sided' is unknown"),
        ({"k": 0}, "k = 0"),
        ({"k": 2}, "k = 2 directions asked for, but 1 were given"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"inputs": {"a": torch.ones(3, 2), "b": torch.ones(4, 2)}}, r"different lengths: 'a' 3, 'b' 4"),
        ({"inputs": {}}, "there are no inputs"),
        ({"inputs": torch.empty(0, INS)}, "there are no inputs"),
    ],
)
def test_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        compare(**settings)


def test_a_direction_along_the_weights_has_no_matched_draws():
    theta = linear_model()[1].flatten()[None]
    with pytest.raises(
        ValueError, match=r"'weights' cannot be drawn: direction 1: its cosine to the weights is 1\.0000"
    ):
        compare(directions=theta, nulls="weights")
    found = compare(directions=torch.cat([V, theta]))
    assert found.table.filter(null="weights")["direction"].to_list() == [1]
    assert found.left_out["weights"].startswith("direction 2")


def test_a_window_of_other_parameters_has_no_span_here():
    edge = se.spectral_edge(gaussian(6, DIM + 1))
    with pytest.raises(ValueError, match=f"updates have {DIM + 1} entries, these parameters {DIM}"):
        list(se.iterate_random_directions(2, linear_model()[1], "span", edge=edge))


def test_weights_that_are_not_finite_have_no_angle_and_it_is_said():
    model, parameters = linear_model()
    with torch.no_grad():
        model.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="values that are not finite"):
        list(se.iterate_random_directions(2, parameters, "weights", direction=gaussian(DIM)))


def test_permuted_labels_are_no_directions():
    with pytest.raises(ValueError, match="permutes labels and draws no directions"):
        se.iterate_random_directions(2, linear_model()[1], "inputs")


def test_weights_that_are_zero_have_no_angle():
    model, parameters = linear_model()
    torch.nn.init.zeros_(model.weight)
    with pytest.raises(ValueError, match="all zero"):
        se.compare(model, V, INPUTS, energy, parameters=parameters, nulls="weights")


def test_labels_that_do_not_fit():
    with pytest.raises(ValueError, match="5 labels for 12 inputs"):
        compare(se.Concentration(np.arange(5), 5), nulls="isotropic")
    with pytest.raises(ValueError, match=r"labels must be \(N,\) integers"):
        compare(se.Concentration(np.ones(12), 5), nulls="isotropic")


def test_an_output_that_is_no_tensor():
    class Pair(torch.nn.Linear):
        def forward(self, x):
            return (super().forward(x), None)

    model = Pair(INS, 4, bias=False)
    with pytest.raises(ValueError, match=r"Pair returns a tuple, not a tensor; say what to read of it: forward="):
        se.compare(model, V, INPUTS, energy, parameters=se.select_parameters(model, "weight"))


def test_a_statistic_that_is_odd_where_the_first_direction_has_zero():
    odd = se.of_direction(lambda v: float(v[1]), name="second_entry")
    with pytest.raises(ValueError, match=r"second_entry.* sign of an edge direction is arbitrary"):
        compare(odd, torch.eye(DIM)[:2], nulls="isotropic")


@pytest.mark.parametrize("labels", [np.full(12, 5), np.full(12, -2)])
def test_labels_outside_the_groups(labels):
    for statistic in (se.Concentration, se.VarianceShare, se.Peakedness):
        with pytest.raises(ValueError, match="label"):
            compare(statistic(labels, 5), nulls="isotropic")


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda model, x: model(x).sum(), r"forward gives \(\) for a batch of 2 inputs"),
        (lambda model, x: model(x).mean(0), r"forward gives \(4,\) for a batch of 2 inputs"),
        (lambda model, x: (model(x),), "forward gives tuple"),
        (lambda model, x: model(x).argmax(1), r"forward gives torch\.int64; it must give real numbers"),
    ],
)
def test_an_output_that_is_not_one_row_an_input(forward, message):
    with pytest.raises(ValueError, match=message):
        compare(forward=forward)


@pytest.mark.parametrize(("name", "value"), [("line", "product"), ("diagonal", "average")])
def test_a_share_that_does_not_exist(name, value):
    with pytest.raises(ValueError, match=f"{name} = '{value}' is unknown"):
        se.CharacterShare(**({"pairs": [[0, 1]], "p": 5, "line": "sum"} | {name: value}))


def test_what_is_kept_must_have_one_shape():
    calls = iter(range(100))
    with pytest.raises(ValueError, match=r"keep 'h' of draw 1 of the null 'isotropic' has shape \(2,\)"):
        compare(nulls="isotropic", keep={"h": lambda h: h[: 2 if next(calls) == 2 else 3, 0]})


def test_a_null_of_too_few_draws():
    with pytest.raises(ValueError, match="available = 1"):
        Isotropic(1)
    three = se.of_set(lambda h: float(h.square().sum()), size=3)
    with pytest.raises(ValueError, match="'isotropic' has 2 draws, and a set takes 3"):
        compare({"three": three}, torch.eye(DIM)[:3], nulls=Isotropic(2))


def test_sets_of_different_sizes():
    sizes = {str(m): se.of_set(lambda h: float(h.square().sum()), size=m) for m in (2, 3)}
    with pytest.raises(ValueError, match=r"sets take \[2, 3\] directions"):
        compare(sizes, torch.eye(DIM)[:3])
    with pytest.raises(ValueError, match="takes sets of 3 directions and 2 are tested"):
        compare({"3": sizes["3"]}, torch.eye(DIM)[:2])


def test_over_runs_takes_a_list():
    with pytest.raises(ValueError, match="results must be a list of comparisons"):
        se.over_runs(compare(nulls="isotropic"))


def test_a_protocol_that_json_cannot_hold(tmp_path):
    found = replace(compare(nulls="isotropic"), protocol={"model": object()})
    with pytest.raises(StoreError, match=r"c\.json: not written"):
        found.save(tmp_path / "c.json")


def test_too_few_draws_for_a_level():
    found = compare(nulls="isotropic", draws=10)
    with pytest.raises(ValueError, match=r"level = 0\.05 cannot be reached: with 10 draws .* draws=20"):
        found.beyond(0.05)


@pytest.mark.parametrize(
    ("null", "matched", "message"),
    [
        ("weights", {}, "'weights' needs direction="),
        ("blocks", {"direction": torch.ones(3)}, r"\(3,\)"),
        ("blocks", {"direction": np.zeros(DIM)}, "direction is zero or not finite"),
        ("span", {}, "needs the window"),
        ("isotropic", {"seed": -1}, "seed = -1"),
    ],
)
def test_random_directions(null, matched, message):
    with pytest.raises(ValueError, match=message):
        se.iterate_random_directions(3, linear_model()[1], null, **matched)


def test_damaged_files_are_refused_by_name(tmp_path):
    path = tmp_path / "result.json"
    with pytest.raises(RunMissingError, match=r"result\.json"):
        se.load_comparison(path)
    compare(nulls="isotropic").save(path)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(RunCorruptError, match=r"result\.json"):
        se.load_comparison(path)
    document = json.loads(whole)
    document["rows"][0]["values"][3] = "much"
    path.write_text(json.dumps(document))
    with pytest.raises(RunCorruptError, match=r"rows\.0\.values\.3"):
        se.load_comparison(path)
    document = json.loads(whole)
    document["rows"][0]["measured"] = "1"
    path.write_text(json.dumps(document))
    with pytest.raises(RunCorruptError, match=r"rows\.0\.measured"):
        se.load_comparison(path)
    document = json.loads(whole)
    document["rows"].append(document["rows"][0])
    path.write_text(json.dumps(document))
    with pytest.raises(RunCorruptError, match="is there twice"):
        se.load_comparison(path)
    path.write_text(json.dumps(json.loads(whole) | {"schema": 9}))
    with pytest.raises(SchemaError, match="9"):
        se.load_comparison(path)
    with pytest.raises(StoreError, match=r"result\.json"):
        compare(nulls="isotropic").save(path / "below_a_file" / "result.json")
    compare(nulls="isotropic").save(tmp_path / "new" / "result.json")
    assert se.load_comparison(tmp_path / "new" / "result.json").complete
