"""What each null keeps of the tested direction, and what it leaves to chance."""

import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.comparison import DirectionSpace, RandomStream, Span
from support.linear_models import DIM, INS, gaussian, linear_model, unit


@pytest.fixture
def parameters():
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 3))
    torch.manual_seed(1)
    return se.ParameterSubset(dict(model.named_parameters()))


def rows(n, parameters, null, **matched):
    return torch.cat(list(se.iterate_random_directions(n, parameters, null, **matched)))


@pytest.mark.parametrize("null", ["isotropic", "span", "weights", "blocks"])
def test_rows_are_unit_vectors_the_same_in_any_chunking_and_new(parameters, null, monkeypatch):
    edge = se.spectral_edge(gaussian(6, parameters.dim))
    matched = {"edge": edge, "direction": edge.directions(1)[0]}
    whole = rows(21, parameters, null, seed=4, **matched)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(21))
    blocks = list(se.iterate_random_directions(21, parameters, null, seed=4, **matched))
    assert [len(block) for block in blocks] == [8, 8, 5]
    assert torch.equal(rows(9, parameters, null, seed=4, **matched), whole[:9])
    monkeypatch.setattr("spectral_edge.comparison.draws.rows_at_once", lambda dim: 2)
    assert torch.equal(rows(21, parameters, null, seed=4, **matched), whole)
    cosines = (
        whole
        @ torch.cat([se.random_directions(21, parameters.dim, seed=4), rows(21, parameters, null, seed=5, **matched)]).T
    )
    assert cosines.abs().max() < 0.999
    assert not torch.equal(whole[0], whole[1])


def test_blocks_of_a_large_model_stay_below_64_megabytes():
    wide = se.ParameterSubset({"w": torch.empty(3_000, 2_000)})
    blocks = se.iterate_random_directions(5, wide)
    assert [next(blocks).shape for _ in range(2)] == [(2, 6_000_000), (2, 6_000_000)]
    wider = se.ParameterSubset({"w": torch.ones(20_000_000)})
    assert next(iter(se.iterate_random_directions(2, wider))).shape == (1, 20_000_000)


def test_isotropic_has_no_preferred_direction(parameters):
    drawn = rows(4000, parameters, "isotropic")
    covariance = drawn.T @ drawn / len(drawn) * parameters.dim
    assert (covariance - torch.eye(parameters.dim)).abs().max() < 6 / 4000**0.5
    assert drawn.mean(0).abs().max() * parameters.dim**0.5 < 6 / 4000**0.5


@pytest.mark.parametrize("center", [True, False])
def test_span_is_uniform_in_the_window_s_own_span(parameters, center):
    window = gaussian(6, parameters.dim) * torch.tensor([100.0, 10, 1, 1, 1, 1])[:, None]
    edge = se.spectral_edge(window, center=center)
    basis = edge.directions(edge.identifiable)
    coordinates = rows(3000, parameters, "span", edge=edge) @ basis.T
    torch.testing.assert_close(coordinates.norm(dim=1), torch.ones(3000))  # nothing outside of it
    second = coordinates.T @ coordinates / 3000 * edge.identifiable
    assert (second - torch.eye(edge.identifiable)).abs().max() < 0.15  # however different the singular values


@pytest.mark.parametrize("cosine", [0.9, 0.4, 0.0, -0.7])
def test_weights_keeps_the_signed_cosine_and_nothing_else(parameters, cosine):
    theta = unit(parameters.flatten())
    across = gaussian(parameters.dim, seed=8)
    across = unit(across - (across @ theta) * theta)
    direction = cosine * theta + (1 - cosine**2) ** 0.5 * across
    drawn = rows(2000, parameters, "weights", direction=3 * direction)
    torch.testing.assert_close(drawn @ theta, torch.full((2000,), cosine), atol=1e-5, rtol=0)
    rest = drawn - cosine * theta
    assert rest.mean(0).abs().max() < 6 / 2000**0.5
    assert float((rest @ across).square().mean()) == pytest.approx((1 - cosine**2) / (parameters.dim - 1), rel=0.25)


def test_blocks_permutes_entries_inside_each_tensor(parameters):
    direction = unit(gaussian(parameters.dim, seed=2) * torch.linspace(0.1, 5, parameters.dim))
    drawn = rows(50, parameters, "blocks", direction=direction)
    sizes = [shard.dim for shard in parameters.shards]
    for own, theirs in zip(direction.split(sizes), drawn.split(sizes, dim=1), strict=True):
        torch.testing.assert_close(theirs.sort(dim=1).values, own.sort().values.expand_as(theirs))
        if len(own) > 4:
            assert len({tuple(row.tolist()) for row in theirs}) > 40


def test_other_phases_are_the_edges_of_other_windows():
    model, parameters = linear_model()
    edges = [se.spectral_edge(gaussian(6, DIM, seed=s)) for s in range(5)]
    null = se.OtherPhases(edges, k=2)
    drawn = rows(10, parameters, null)
    torch.testing.assert_close(drawn, torch.cat([edge.directions(2) for edge in edges]))
    found = se.compare(
        model, edges[0], gaussian(9, 6), {"e": lambda h: float(h.norm())}, parameters=parameters, nulls=null
    )
    assert found.table["draws"].unique().to_list() == [10]
    with pytest.raises(ValueError, match="at most 10"):
        se.iterate_random_directions(11, parameters, null)


class Spike:
    """One entry of the direction at a time."""

    name = "spike"
    per_direction = False

    def sampler(self, space, direction):
        def draw(stream):
            return torch.eye(space.parameters.dim)[stream.generator().integers(space.parameters.dim)]

        return draw


def test_a_null_of_your_own_is_a_small_class():
    model, parameters = linear_model()
    peak = se.of_direction(lambda v: float(v.abs().max()), name="peak")
    found = se.compare(
        model, gaussian(1, DIM), gaussian(9, 6), peak, parameters=parameters, nulls=["isotropic", Spike()]
    )
    assert found.table["null"].to_list() == ["isotropic", "spike"]
    assert found.table.filter(null="spike")["null_mean"].to_list() == [1.0]


def test_a_row_depends_on_seed_null_and_number_only(parameters):
    space = DirectionSpace(parameters)
    ours, again = (space.isotropic(RandomStream(3, "isotropic", 7)) for _ in range(2))
    assert torch.equal(ours, again)
    for other in (RandomStream(4, "isotropic", 7), RandomStream(3, "weights", 7), RandomStream(3, "isotropic", 8)):
        assert abs(float(ours @ space.isotropic(other))) < 0.9
    assert np.isclose(float(ours.norm()), 1)


def test_draws_along_the_weights_are_those_of_each_direction_though_their_responses_are_combined():
    """One response to the noise serves all directions; its twin computes the response to each draw."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    parameters = se.ParameterSubset(dict(model.named_parameters()))
    x = torch.randn(7, 4)
    tested = torch.randn(3, parameters.dim) + torch.tensor([[0.0], [1.0], [3.0]]) * parameters.flatten()
    calls = []
    forward = lambda m, batch: (calls.append(len(batch)), m(batch))[1]  # noqa: E731
    statistics = {"energy": lambda h: float(h.square().sum()), "first": se.of_direction(lambda v: float(v[0].abs()))}
    found = se.compare(
        model,
        tested,
        x,
        statistics,
        parameters=parameters,
        forward=forward,
        nulls="weights",
        draws=9,
        seed=4,
        quiet=True,
    )
    assert len(calls) < 9 * 3  # in groups of directions, but never one a draw and direction
    for j, direction in enumerate(tested):
        draws = torch.cat(
            list(se.iterate_random_directions(9, parameters, null="weights", direction=direction, seed=4))
        )
        responses = se.functional_modes(model, draws, x, parameters=parameters).response
        energy, first = (row for row in found.rows if row.direction == j + 1)
        np.testing.assert_allclose(energy.values, responses.square().sum((1, 2)), rtol=1e-4)
        np.testing.assert_allclose(first.values, draws[:, 0].abs(), rtol=1e-4, atol=1e-7)


def test_a_set_larger_than_the_window_is_refused():
    model, parameters = linear_model()
    edge = se.spectral_edge(gaussian(3, DIM), center=False)
    of_four = {"size": se.of_set(lambda h: float(h.square().sum()), size=4)}
    settings = {"parameters": parameters, "draws": 5, "quiet": True}
    rows = torch.linalg.qr(gaussian(DIM, 4))[0].T
    with pytest.raises(ValueError, match="has 3 identifiable directions and sets of 4"):
        se.compare(model, rows, gaussian(12, INS), of_four, nulls=[Span(edge)], **settings)


def test_the_span_of_an_edge_in_another_metric_is_refused():
    model, parameters = linear_model()
    edge = se.spectral_edge(gaussian(6, DIM), center=False)
    other = edge.in_metric(torch.linspace(0.1, 10, DIM))
    settings = {"parameters": parameters, "draws": 5, "quiet": True}
    with pytest.raises(ValueError, match="in another metric are not orthogonal"):
        se.compare(model, other, gaussian(12, INS), lambda h: float(h.norm()), nulls="span", **settings)
    found = se.compare(model, other, gaussian(12, INS), lambda h: float(h.norm()), nulls=Span(edge), **settings)
    assert {row.null for row in found.rows} == {"span"}


def test_phases_of_the_same_parameters_in_another_order_are_no_draws():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(2, 3, bias=False))
    subset = se.select_parameters(model, ".")
    updates = torch.randn(4, subset.dim, generator=torch.Generator().manual_seed(0))
    right, turned = (
        se.spectral_edge(updates, center=False).in_layout(names) for names in (subset.names, subset.names[::-1])
    )
    with pytest.raises(ValueError, match="in another order"):
        next(se.iterate_random_directions(1, subset, se.OtherPhases([right, turned])))
    assert len(next(se.iterate_random_directions(1, subset, se.OtherPhases([right])))) == 1
