"""The evidence on a language model, small: one seed and another from text to tables."""

import numpy as np
import polars
import pytest
import torch

import spectral_edge as se
from spectral_edge.experiments.language import (
    ARMS,
    LanguageConfig,
    explained_summary,
    gather_language,
    language_answers,
    language_points,
    measurement,
    plant_summary,
    reading_summary,
    summary,
)
from spectral_edge.experiments.language.corpus import prose, sample
from spectral_edge.experiments.language.model import CharacterModel
from spectral_edge.experiments.language.plants import PLANTS, unchanged
from spectral_edge.report import draw_language, write_experiment_report
from spectral_edge.store import ConfigMismatchError

TINY = LanguageConfig(
    d_model=16, layers=1, heads=2, length=24, batch=4, base_steps=(12, 24), tuned_steps=(12,),
    rule_steps=(24,), window=3, every=4, k=2, sets=2, draws=3, passages=1, documents=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("language")


@pytest.fixture(scope="module")
def tables(out):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "call_all", lambda calls, jobs, say: [f(*a) for f, *a in calls.values()])
        found = gather_language(out, (1, 2), TINY)
        files = {path: path.stat().st_mtime_ns for path in (out / "measured").iterdir()}
        patch.setattr(measurement, "_run_arm", lambda *a: pytest.fail("what is there was done again"))
        gather_language(out, (1, 2), TINY)
        assert {path: path.stat().st_mtime_ns for path in (out / "measured").iterdir()} == files
    return found


def at_protocol_steps(tables):
    """As if the windows had ended where the protocol's do."""
    steps = {"explained": {12: 100}, "readings": {24: 300}}
    base = polars.col("arm") == "base"
    moved = {
        name: tables[name].with_columns(
            step=polars.when(base).then(polars.col("step").replace(at)).otherwise(polars.col("step"))
        )
        for name, at in steps.items()
    }
    return {**tables, **moved}


def test_every_arm_has_what_the_protocol_asks(tables):
    explained, readings = tables["explained"], tables["readings"]
    assert set(explained["arm"]) == set(ARMS) - {"rule"}, "windows in which the rule is learned are only read"
    assert set(explained["edge"]) == {"update", "centred", "gradient", "decay", "pieces"}
    assert set(explained.filter(kind="gain")["by"]) == {"edge", "span", "isotropic"}
    assert set(explained.filter(arm="base")["step"]) == {12, 24}
    planted = {name: set(part["statistic"]) for (name,), part in readings.group_by("arm")}
    assert planted["register"] == {"planted: register"}
    assert planted["none"] == {"text", "text and surprise", *(f"planted: {name}" for name in PLANTS)}
    by_step = {step: set(part["statistic"]) for (step,), part in readings.filter(arm="none").group_by("step")}
    assert by_step[24] == {"planted: rule"}
    assert set(readings.filter(statistic="text")["null"]) == {"isotropic", "span", "weights", "inputs", None}
    assert set(readings["direction"]) == {"v1", "displacement", "change"}
    learned = tables["learned"]
    assert {(arm, plant) for arm, plant in learned.select("arm", "plant").iter_rows()} == {
        (arm, plant) for plant in PLANTS for arm in ("none", plant)
    }
    assert learned["marks"].min() > 0
    assert len(plant_summary(readings, learned)) == 2 * 2 * len(PLANTS)
    assert [answer.n for answer in language_answers(at_protocol_steps(tables))] == [2] * 8


def test_the_report_draws_what_the_tables_hold(tables, tmp_path):
    tables = at_protocol_steps(tables)
    points = language_points(tables)
    figures = write_experiment_report("language", points, [draw_language(tables)], tmp_path)
    assert [path.suffix for path in figures] == [".png", ".pdf"]
    assert len(list((tmp_path / "tables").glob("language_*.csv"))) == len(points) == 4
    assert len(points[0].rows) == 8
    explained, plants, text = draw_language(tables).figure.axes
    summary = explained_summary(tables["explained"]).filter(arm="base", kind="r2").sort("step")
    drawn = {line.get_label(): line.get_ydata() for line in explained.lines}
    for label, edge, by in (
        ("v₁ … v₃ alone", "update", "edge"),
        ("and v₁ … v₃ of weight decay", "decay", "displacement+edge"),
        ("path in 3 pieces", "pieces", "edge"),
    ):
        np.testing.assert_allclose(drawn[label], summary.filter(edge=edge, by=by)["mean"].to_numpy())
    assert [tick.get_text() for tick in plants.get_xticklabels()] == list(PLANTS)
    assert {text.get_text() for text in plants.texts} <= {"0/2", "1/2", "2/2"}
    assert len(text.lines) >= 4


def test_seeds_start_apart_and_arms_from_one_model(tables):
    first = tables["explained"].filter(kind="r2", by="displacement", edge="update")
    by_seed = {seed: part["value"].to_list() for (seed,), part in first.group_by("seed")}
    assert by_seed[1] != by_seed[2]


def test_intervals_are_over_seeds(tables):
    table = explained_summary(tables["explained"])
    key = {"arm": "code", "step": 12, "edge": "update", "kind": "r2", "by": "displacement"}
    values = tables["explained"].filter(**key)["value"].to_numpy()
    row = table.filter(**key).row(0, named=True)
    half = 6.313752 * values.std(ddof=1) / 2**0.5  # Student's t of one degree of freedom, 90 %
    assert (row["n"], row["mean"]) == (2, pytest.approx(values.mean()))
    assert (row["low"], row["high"]) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-5)
    assert set(reading_summary(tables["readings"])["null"]) == {"isotropic", "span", "weights", "inputs", None}


def test_tables_of_other_sizes_are_not_mixed(out, tables):
    with pytest.raises(ConfigMismatchError, match="other sizes"):
        gather_language(out, (1, 2), TINY.model_copy(update={"draws": 4}))


def test_a_window_is_read_where_it_begins(tables):
    """Every parameter is recorded, so the displacement leads from the model before to the model after."""
    torch.manual_seed(0)
    model = CharacterModel(16, 1, 2, 24)
    generator = np.random.default_rng(0)
    for _, recorder, before in measurement._trained(
        model, "none", TINY, lambda: sample(prose().train, 4, 24, generator, unchanged)
    ):
        moved = recorder.parameters.flatten() - se.select_parameters(before, ".").flatten()
        torch.testing.assert_close(recorder.edge(center=False).displacement(), moved, atol=1e-6, rtol=0)
