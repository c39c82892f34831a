"""What the page on language models says of its results is what the committed tables hold, counted here by hand."""

from pathlib import Path

import numpy as np
import polars
import pytest

from spectral_edge.experiments.language import language_answers
from support.pages import tables_in_the_record

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "language"
PAGE = " ".join((ROOT / "docs" / "language_evidence.md").read_text().split())
T_OF_FIVE = 2.0150484  # Student's t of five degrees of freedom, 90 %


@pytest.fixture(scope="module")
def tables():
    return {kind: polars.read_parquet(RESULTS / f"{kind}.parquet") for kind in ("explained", "readings", "learned")}


def said(values, digits=3):
    """Mean and 90 % interval of six seeds, as the page writes them."""
    assert len(values) == 6
    half = T_OF_FIVE * np.std(values, ddof=1) / 6**0.5
    mean = np.mean(values)
    return f"{mean:.{digits}f} [{mean - half:.{digits}f}, {mean + half:.{digits}f}]".replace("-", "−")


def by_seed(table, column):
    return table.sort("seed")[column].to_numpy()


def test_answers_are_those_of_the_rules(tables):
    words = {"yes": "**yes**", "no": "**no**", "undecided": "undecided"}
    for answer in language_answers(tables):
        assert f"| {answer.question} | {words[answer.answer]} |" in PAGE
        assert answer.n == 6


def test_what_edges_add_is_the_difference_of_gains(tables):
    gains = tables["explained"].filter(arm="base", step=100, kind="gain")
    edge = by_seed(gains.filter(edge="update", by="edge"), "value")
    for competitor in (gains.filter(edge="pieces", by="edge"), gains.filter(edge="update", by="span")):
        assert said(edge - by_seed(competitor, "value")) in PAGE


def test_with_as_many_coefficients_each_edge_and_pieces_differ_as_the_page_says(tables):
    alone = tables["explained"].filter(arm="base", kind="r2", by="edge")
    for step in (100, 300, 1000):
        edge, pieces = (by_seed(alone.filter(step=step, edge=name), "value") for name in ("update", "pieces"))
        assert said(edge - pieces) in PAGE


def test_the_rounding_that_was_fitted_changes_no_answer(tables):
    """What pieces add to the displacement, which is their sum, is their own R² less that of the displacement."""
    pieces = tables["explained"].filter(edge="pieces", arm="base")
    off = {}
    for step in (100, 300, 1000):
        rows = pieces.filter(step=step)
        gain, alone, without = (
            by_seed(rows.filter(kind=kind, by=by), "value")
            for kind, by in (("gain", "edge"), ("r2", "edge"), ("r2", "displacement"))
        )
        off[step] = alone - without - gain
    assert f"{off[100].mean():.4f} higher at step 100" in PAGE
    assert (
        f"at most {max(np.abs(o).max() for o in off.values()):.3f} off in any seed and step of the first training"
        in PAGE
    )
    gains = tables["explained"].filter(arm="base", step=100, kind="gain", edge="update", by="edge")
    left = by_seed(gains, "value") - by_seed(pieces.filter(step=100, kind="gain", by="edge"), "value") - off[100]
    assert left.mean() - T_OF_FIVE * left.std(ddof=1) / 6**0.5 > 0
    assert left.mean() > 0.02, "the answer of the rule is still yes"


def test_plants_are_counted_in_the_window_in_which_they_were_learned(tables):
    learned, readings = tables["learned"], tables["readings"]
    for plant in ("spelling", "rule", "register"):
        rows = learned.filter(plant=plant, arm=plant).sort("seed", "step").rows(named=True)
        windows = {}
        for row in rows:  # in order of step: the first window that made the marks twice as likely, or the last
            done = windows.get(row["seed"])
            if done is None or not done[1]:
                windows[row["seed"]] = (row["step"], row["log_p_end"] - row["log_p_begin"] >= 0.7)
        found = {plant: 0, "none": 0}
        against_span = 0
        for arm in found:
            for seed, (step, _) in windows.items():
                own = readings.filter(arm=arm, seed=seed, step=step, direction="v1", statistic=f"planted: {plant}")
                p = {row["null"]: row["pvalue"] for row in own.rows(named=True)}
                found[arm] += p["inputs"] <= 0.05 and p["isotropic"] <= 0.05
                against_span += arm == plant and p["span"] <= 0.05
        count = f"{sum(taught for _, taught in windows.values())} of 6 | {found[plant]} of 6 | {found['none']} of 6 |"
        assert f"| {plant} | {count} {against_span} of 6 |" in PAGE


def test_means_in_the_text_are_those_of_the_tables(tables):
    explained = tables["explained"].filter(arm="base")

    def mean(step, edge, by, kind="gain"):
        return f"{explained.filter(step=step, edge=edge, by=by, kind=kind)['value'].mean():.3f}"

    first = [mean(100, "update", "displacement", "r2"), mean(100, "update", "edge"), mean(100, "pieces", "edge")]
    assert "explains {} of the change. The edge adds {} to it, the path in pieces {}".format(*first) in PAGE
    assert f"random directions of the span {mean(100, 'update', 'span')}" in PAGE
    later = [mean(step, "update", "edge") for step in (300, 1000)]
    assert "At step 300 the edge adds {}, at step 1000 {}".format(*later) in PAGE
    decay = [mean(step, "decay", "edge") for step in (100, 300, 1000)]
    assert "add {} at step 100, {} at step 300 and {} at step 1000".format(*decay) in PAGE
    alone = [float(mean(step, "update", "edge", "r2")) for step in (100, 300, 1000)]
    assert f"explains {min(alone):.2f} to {max(alone):.2f} at every step" in PAGE
    centred = [mean(step, "centred", "edge", "r2") for step in (100, 300, 1000)]
    assert "Centred, it explains {}, {} and {}".format(*centred) in PAGE
    tuned = tables["explained"].filter(polars.col("arm") != "base", edge="update", by="edge", kind="gain")
    means = tuned.group_by("arm").agg(polars.col("value").mean())["value"]
    assert f"in the fine-tunings {means.min():.3f} to {means.max():.3f}" in PAGE
    text = tables["readings"].filter(arm="base", statistic="text")
    v1 = text.filter(direction="v1", null="span")
    gains = {step: v1.filter(step=step)["measured"].mean() for step in (100, 300, 1000)}
    change = text.filter(direction="change", step=100)["measured"].mean()
    span = v1.filter(step=100)["null_mean"].mean()
    assert f"gain of {gains[100]:.3f}, random directions of the span with {span:.3f}" in PAGE
    assert f"the whole change with {change:.3f}" in PAGE
    assert f"the gain is {gains[300]:.3f} and {gains[1000]:.3f}" in PAGE


def test_the_section_of_the_record_has_every_table():
    assert tables_in_the_record(RESULTS / "tables") == 4


def test_readme_says_the_same(tables):
    readme = " ".join((ROOT / "README.md").read_text().split())
    first = tables["explained"].filter(arm="base", step=100, edge="update")
    gain, r2 = (
        first.filter(kind=kind, by=by)["value"].mean() for kind, by in (("gain", "edge"), ("r2", "displacement"))
    )
    assert f"the edge adds {gain:.3f} to the R² of {r2:.3f} that the net displacement has" in readme
    pieces = tables["explained"].filter(arm="base", step=100, edge="pieces", kind="gain", by="edge")["value"].mean()
    assert f"(the path cut into three pieces adds {pieces:.3f})" in readme
    found = {answer.question: answer for answer in language_answers(tables)}
    for plant in ("spelling", "register"):
        assert "found in 6 of 6" in found[f"{plant} is found"].because
    assert "(a spelling, a register) can be read from v₁ in 6 of 6 models" in readme
