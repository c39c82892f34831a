"""What of a change directions explain: closed forms, planted changes, an independent regression, what is refused."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from torch import nn

import spectral_edge as se
from spectral_edge.language.regression import Halves, fitted
from support.language_models import TinyLM

D = 12


class Linear(nn.Module):
    """h = x·w, or a function of it."""

    def __init__(self, function=lambda z: z):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-1, 1, D))
        self.function = function

    def forward(self, x):
        return self.function(x @ self.w)


def read(model, x):
    return model(x)


def edge_of(updates, center=False):
    return se.spectral_edge(torch.as_tensor(updates, dtype=torch.float32), center=center)


def swinging(n=10, seed=0):
    """Updates that swing along the first axis, which is v1, and drift along the second, the displacement."""
    updates = np.random.default_rng(seed).normal(0, 1e-4, (n, D))
    updates[:, 0] += np.where(np.arange(n) % 2, 1.0, -1.0)
    updates[:, 1] += 0.1
    return edge_of(updates)


def inputs(n=60, seed=1):
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed))


def explained(model, edge, x, **settings):
    parameters = se.select_parameters(model, ".")
    return se.explained_change(
        model, edge, x, **({"forward": read, "parameters": parameters, "k": 1, "draws": 6} | settings)
    )


def r2(change, by, source="all"):
    return change.table.filter(by=by, source=source)["r2"].item()


def test_what_the_displacement_carries_is_told_from_what_swings():
    found = explained(Linear(), swinging(), inputs())
    assert r2(found, "displacement") == pytest.approx(1, abs=1e-4)
    assert r2(found, "edge") < 0.1
    assert r2(found, "displacement+edge") == pytest.approx(1, abs=1e-4)
    assert r2(found, "isotropic") < 0.3
    assert found.table["by"].to_list() == ["displacement", "edge", "displacement+edge", "span", "isotropic"]
    assert found.table["k"].to_list() == [1, 1, 2, 1, 1]
    assert found.gains.filter(by="edge")["gain"].item() == pytest.approx(0, abs=1e-4)
    assert found.size == pytest.approx(float((inputs() @ swinging().displacement()).square().mean().sqrt()), rel=1e-5)
    assert found.entries == 60


def test_r2_is_that_of_an_independent_regression():
    model, edge, x = Linear(torch.tanh), swinging(), inputs()
    found = explained(model, edge, x, seed=4)
    w, drift = model.w.detach().double(), edge.displacement().double()
    rows = x.double()
    y = (torch.tanh(rows @ w) - torch.tanh(rows @ (w - drift))).numpy()
    slope = 1 - torch.tanh(rows @ w).square()
    columns = {"displacement": slope * (rows @ drift), "edge": slope * (rows @ edge.directions(1)[0].double())}
    first = Halves.of(np.ones((60, 1), dtype=bool), y[:, None], None, None, 4).first
    assert first.sum() == 30
    for names in (("displacement",), ("edge",), ("displacement", "edge")):
        design = torch.stack([columns[name] for name in names], 1).numpy()
        fit = LinearRegression().fit(design[first], y[first])
        expected = r2_score(y[~first], fit.predict(design[~first]))
        assert r2(found, "+".join(names)) == pytest.approx(expected, abs=1e-4)


def test_what_edges_add_is_found_where_it_is_planted():
    """Along the first axis the function is curved: a second coefficient says what the displacement's alone cannot."""
    updates = np.random.default_rng(0).normal(0, 1e-4, (10, D))
    updates[:, 0] += np.where(np.arange(10) < 5, 2.0, -1.0)
    updates[:, 1] += 0.3

    class TwoPlaces(Linear):
        def forward(self, x):
            curved = (self.w[0] + 6.0) ** 2 / 10
            return torch.cat([x[:, :1] * curved, x[:, 1:] * self.w[1:]], 1)

    edge = edge_of(updates)
    found = explained(TwoPlaces(), edge, inputs(200), draws=10)
    gains = found.gains
    assert gains.filter(by="edge")["low"].item() > 0.01
    assert gains.filter(by="edge")["gain"].item() > gains.filter(by="isotropic")["high"].item()


def test_the_interval_covers_the_truth():
    """y = x·D + noise by input: R² of the population is known, and the 90 % interval has it in most repeats."""
    covered = 0
    edge = edge_of(np.eye(D)[:3] * [[1.0], [0.5], [0.2]])
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(400, D, generator=generator)
        noise = torch.randn(400, generator=generator)

        class Noisy(Linear):
            """The noise comes with the drift, and has no derivative."""

            def forward(self, batch, noise=noise):
                return batch[:, :D] @ self.w + (self.w[0] < -1.5) * batch[:, D]

        model = Noisy()
        truth = 1.29 / 2.29  # |D|² = 1 + .25 + .04 over it and the noise's variance
        found = explained(model, edge, torch.cat([x, -noise[:, None]], 1), draws=2, seed=seed, k=2)
        row = found.table.filter(by="displacement").row(0, named=True)
        covered += row["low"] <= truth <= row["high"]
    assert 30 <= covered <= 40


def test_sources_are_scored_apart():
    x = inputs(80)
    x[40:] = 0  # nothing to explain but the noise below
    model = Linear()
    x = torch.cat([x, torch.randn(80, 1, generator=torch.Generator().manual_seed(5))], 1)

    def forward(model, batch):
        noise = (model.w[0] < -1.5) * batch[:, D] * (batch[:, :D] == 0).all(1)
        return model(batch[:, :D]) + noise

    edge = edge_of(np.eye(D)[:2])
    found = explained(model, edge, x, forward=forward, sources=["prose"] * 40 + ["noise"] * 40)
    assert r2(found, "displacement", "prose") > 0.99
    assert r2(found, "displacement", "noise") < 0.1
    assert set(found.table["source"]) == {"all", "prose", "noise"}
    assert found.table.filter(by="edge")["held_out"].to_list() == [40, 20, 20]


def test_masked_outputs_are_left_out():
    x = inputs()
    masked = torch.rand(60, 3, generator=torch.Generator().manual_seed(3)) < 0.4

    def several(model, batch):
        h = batch[:, :D] @ model.w
        return torch.stack([h, 2 * h, -h], 1).masked_fill(batch[:, D:] > 0, torch.nan)

    found = explained(Linear(), swinging(), torch.cat([x, masked.float()], 1), forward=several)
    assert found.entries == int((~masked).sum())
    assert r2(found, "displacement") == pytest.approx(1, abs=1e-4)


def test_curvature_is_shown():
    model, edge, x = Linear(torch.square), edge_of(np.eye(D)[:2]), inputs()
    found = explained(model, edge, x)
    drift, w = edge.displacement().double(), model.w.detach().double()
    along, at = (x.double() @ drift).numpy(), (x.double() @ w).numpy()
    for row in found.paths.filter(direction="displacement").iter_rows(named=True):
        s = row["share"]
        true, linear = -2 * s * at * along + s**2 * along**2, -2 * s * at * along
        assert row["r2"] == pytest.approx(1 - ((true - linear) ** 2).sum() / (true**2).sum(), rel=1e-4)
        assert row["distance"] == pytest.approx(s * float(drift.norm()), rel=1e-5)
        assert row["size"] == pytest.approx(np.sqrt((true**2).mean()), rel=1e-4)
    assert found.paths["direction"].unique(maintain_order=True).to_list() == ["displacement", "v1"]


def test_a_language_model_s_tokens_are_read_and_its_weights_put_back():
    torch.manual_seed(0)
    model = TinyLM()
    ids = torch.randint(0, 11, (12, 6))
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    with se.watch(model, optimizer, parameters="attention", window=6, verbose=False) as recorder:
        for _ in range(8):
            optimizer.zero_grad()
            (-se.token_log_probabilities(model, ids).mean()).backward()
            optimizer.step()
    before = recorder.parameters.flatten().clone()
    batch = {"input_ids": ids, "attention_mask": mask}
    settings = {"forward": se.token_log_probabilities, "parameters": recorder.parameters, "draws": 2, "k": 2}
    found = se.explained_change(model, recorder.edge(), batch, **settings)
    assert torch.equal(recorder.parameters.flatten(), before)
    assert found.entries == 12 * 5 - 2
    assert r2(found, "displacement") > r2(found, "isotropic")
    text = se.token_modes(model, recorder.edge(), batch, parameters=recorder.parameters)
    torch.testing.assert_close(
        se.token_log_probabilities(model, batch).detach(), text.log_probability, equal_nan=True, rtol=1e-5, atol=1e-6
    )


def test_what_cannot_be_explained_is_named():
    model, edge, x = Linear(), swinging(), inputs()
    with pytest.raises(ValueError, match="need at least 4"):
        explained(model, edge, x[:3])
    with pytest.raises(ValueError, match="59 names for 60"):
        explained(model, edge, x, sources=["a"] * 59)
    with pytest.raises(ValueError, match="'b'"):
        explained(model, edge, x, sources=["a"] * 58 + ["b"] * 2)
    with pytest.raises(ValueError, match="changes no output"):
        explained(model, edge, x, forward=lambda model, x: x[:, 0] + 0 * model(x))
    with pytest.raises(ValueError, match="k = 0"):
        explained(model, edge, x, k=0)
    with pytest.raises(ValueError, match="directions must be"):
        explained(model, edge_of(np.eye(5)), x)


def test_documents_are_held_out_whole_and_counted_once():
    """Sixty inputs, each there five times: cut by inputs, every one has a copy in the other half."""
    distinct, copies = inputs(), 5
    x, names = distinct.repeat_interleave(copies, 0), np.repeat([f"text {i}" for i in range(60)], copies)
    model = Linear(torch.tanh)
    alone = explained(model, swinging(), distinct, seed=3)
    whole = explained(model, swinging(), x, seed=3, documents=names)
    apart = explained(model, swinging(), x, seed=3)
    for one, other in zip(alone.table.rows(named=True), whole.table.rows(named=True), strict=True):
        assert {name: other[name] for name in ("by", "k", "held_out")} == {n: one[n] for n in ("by", "k", "held_out")}
        assert [other[n] for n in ("r2", "low", "high")] == pytest.approx(
            [one[n] for n in ("r2", "low", "high")], abs=1e-5
        )
    width = {name: (t["high"] - t["low"])[0] for name, t in (("whole", whole.table), ("apart", apart.table))}
    assert width["apart"] < 0.7 * width["whole"], "copies would count as evidence"
    with pytest.raises(ValueError, match="documents: 2 names for 300"):
        explained(model, swinging(), x, documents=["a", "b"])
    with pytest.raises(ValueError, match="documents: 2 have known outputs"):
        explained(model, swinging(), x, documents=np.repeat(["a", "b"], 150))
    with pytest.raises(ValueError, match="two sources"):
        explained(model, swinging(), x, documents=names, sources=[str(i % 2) for i in range(300)])


def test_a_regressor_that_is_the_sum_of_others_adds_nothing():
    """Derivatives are float32, so that the sum of three of them is a fourth up to rounding, which is not fitted."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=40)
    pieces = rng.normal(size=(3, 40)).astype(np.float32)
    whole = (pieces[0] + pieces[1] + pieces[2]).astype(np.float32)
    assert (whole.astype(float) != pieces.astype(float).sum(0)).any()
    halves = Halves.of(np.ones((40, 1), dtype=bool), y[:, None], None, None, 0)
    alone = fitted(halves, pieces.astype(float))
    with_sum = fitted(halves, np.vstack([whole, pieces]).astype(float))
    assert with_sum == pytest.approx(alone, abs=1e-5)


def test_a_window_of_one_direction_has_no_other_in_its_span():
    """All updates along one axis: the displacement is the edge, and explains all of a linear function."""
    edge = edge_of(np.linspace(1, 2, 6)[:, None] * np.eye(D)[:1])
    change = explained(Linear(), edge, inputs(), k=1, draws=2)
    assert change.table["by"].to_list() == ["displacement", "edge", "displacement+edge", "isotropic"]
    assert change.gains["by"].to_list() == ["edge", "isotropic"]
    assert change.table["r2"][0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("edge", "draws", "message"),
    [(torch.eye(D)[:2], 2, "edge is a Tensor; give the SpectralEdge"), (swinging(), 0, "draws = 0")],
)
def test_directions_are_no_edge_and_no_draws_no_null(edge, draws, message):
    with pytest.raises(ValueError, match=message):
        explained(Linear(), edge, inputs(), draws=draws)


def test_an_edge_in_another_metric_has_no_span_to_draw_from():
    edge = edge_of(np.random.default_rng(0).normal(size=(5, D))).in_metric(torch.linspace(1, 2, D))
    change = explained(Linear(), edge, inputs())
    assert "span" not in set(change.table["by"])
    assert "isotropic" in set(change.table["by"])
