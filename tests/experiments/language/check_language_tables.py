"""The evidence on a language model, small: one seed and another from text to tables."""

import pytest

from spectral_edge.experiments.language import (
    ARMS,
    LanguageConfig,
    explained_summary,
    gather_language,
    measurement,
    reading_summary,
    summary,
)
from spectral_edge.experiments.language.plants import PLANTS

TINY = LanguageConfig(
    d_model=16, layers=1, heads=2, length=24, batch=4, base_checkpoints=(12, 16), tuned_checkpoints=(12,), window=3,
    every=4, k=2, sets=2, draws=3, passages=1, documents=8,
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


def test_every_arm_has_what_the_protocol_asks(tables):
    explained, readings = tables["explained"], tables["readings"]
    assert set(explained["arm"]) == set(ARMS)
    assert set(explained["edge"]) == {"update", "centred", "gradient", "decay"}
    assert set(explained.filter(kind="gain")["by"]) == {"edge", "span", "isotropic"}
    assert set(explained.filter(arm="base")["step"]) == {12, 16}
    planted = {name: set(part["statistic"]) for (name,), part in readings.group_by("arm")}
    assert planted["register"] == {"planted: register"}
    assert planted["none"] == {"general", "one function", *(f"planted: {name}" for name in PLANTS)}
    assert set(readings.filter(statistic="general")["null"]) == {"isotropic", "span", "weights", "inputs"}


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
    assert set(reading_summary(tables["readings"])["null"]) == {"isotropic", "span", "weights", "inputs"}
