"""What docs/early_warning.md says is what the committed results hold."""

import csv
import re
from pathlib import Path

import pytest

from spectral_edge.experiments.early_warning import GROK, WarningConfig, by_rank, rows_of, warning_points
from spectral_edge.report import experiment_markdown
from spectral_edge.store import EarlyWarnings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "early_warning"
PAGE = ROOT / "docs" / "early_warning.md"
SCHEMES = ("seed", "seed, weight decay 1", "operation", "second set", "second set, weight decay 1")
STATISTICS = {
    ("test_loss_fall", None): "test loss, fall",
    ("test_accuracy", None): "test accuracy",
    ("weight_norm_fall", None): "norm of the weights, fall",
    ("train_loss_fall", None): "train loss, fall",
    ("gap_ratio_rise", 1): "σ₁/σ₂, rise, stride 1",
    ("edge_position_fall", 1): "k*, fall, stride 1",
    ("g23_fall", 1): "g₂₃, fall, stride 1",
    ("effective_rank_fall", 1): "effective rank, fall, stride 1",
    ("gap_ratio_rise", 100): "σ₁/σ₂, rise, stride 100",
    ("g23_fall", 100): "g₂₃, fall, stride 100",
    ("chosen spectral", None): "chosen spectral",
    ("chosen baseline", None): "chosen baseline",
    ("step", None): "clock: the step",
}


@pytest.fixture(scope="module")
def found():
    return EarlyWarnings.read(RESULTS / "early_warning.json")


@pytest.fixture(scope="module")
def text():
    return " ".join(PAGE.read_text().split())


def row(found, statistic, stride=None, scheme="seed", variant=""):
    return next(r for r in rows_of(found, scheme, variant) if (r.statistic, r.stride) == (statistic, stride))


def brief(row):
    lead = "" if row.median_lead is None else f", {row.median_lead:g}"
    return f"{row.hits} of {row.generalised}, {row.false_alarms} of {row.others}{lead}"


def test_both_tables_are_those_of_the_committed_results(found):
    tables = PAGE.read_text().split("**Event: the grok step**")
    for table, variant in zip(tables, ("", GROK), strict=True):
        for (statistic, stride), words in STATISTICS.items():
            rows = [row(found, statistic, stride, scheme, variant) for scheme in SCHEMES]
            free = "yes" if rows[0].held_out_data else "no"
            assert f"| {words} | {free} | {' | '.join(map(brief, rows))} |" in table


def test_the_record_and_the_tables_are_generated_from_the_committed_results(found):
    points = warning_points(found)
    generated = experiment_markdown("early-warning", points, found.environment.get("git_commit"), "day")
    assert generated[generated.index("\n") :].rstrip() in (ROOT / "docs" / "findings.md").read_text()
    for number, point in enumerate(points, start=1):
        with (RESULTS / "tables" / f"early_warning_{number}.csv").open() as file:
            assert list(csv.reader(file)) == [list(point.columns), *map(list, point.rows)]
    assert found.environment["git_modified"] is False


def test_results_have_the_settings_of_the_protocol(found):
    settings = WarningConfig().model_dump(mode="json")
    assert {key: found.protocol[key] for key in settings} == settings
    seeds = {alarm.seed for alarm in found.alarms}
    assert seeds == {42, 137, 2024}
    assert {alarm.run_id for alarm in found.alarms if alarm.scheme == "seed"}.isdisjoint(
        alarm.run_id for alarm in found.alarms if alarm.scheme == "second set"
    )


def test_no_alarm_looks_ahead_or_comes_before_arming(found):
    for alarm in found.alarms:
        if alarm.alarm_step is not None:
            assert alarm.armed_step is not None
            assert alarm.armed_step < alarm.alarm_step <= alarm.steps  # two evaluations at least
        if alarm.lead is not None:
            assert alarm.lead == alarm.event_step - alarm.alarm_step > 0


def test_the_test_loss_has_the_counts_that_the_page_says(found, text):
    loss = row(found, "test_loss_fall")
    assert by_rank(rows_of(found, "seed"))[0] == loss
    assert says(text, f"{loss.hits} of {loss.generalised}", f"{loss.median_lead:g} steps", f"in {loss.others}")
    assert says(text, f"{loss.event_correlation:.2f}", f"{loss.clock_hits} of {loss.generalised}")
    assert loss.false_alarms == 1
    assert loss.others / (14 + 1) == 1.4  # 14 runs that do not generalise in two of three seeds
    assert says(text, "1.4")
    assert loss.clock_false_alarms == loss.others
    assert all(0.09 < threshold < 0.11 for threshold in loss.thresholds.values())  # a tenth
    second = row(found, "test_loss_fall", scheme="second set")
    assert says(text, f"{second.hits} of {second.generalised}")
    assert set(row(found, "chosen baseline").chosen.values()) == {"test_loss_fall"}


def test_the_spectrum_warns_of_nothing_over_the_sweep(found, text):
    for variant in ("", GROK):
        spectral = [r for r in rows_of(found, "seed", variant) if r.kind == "spectral"]
        assert all(r.hits == 0 for r in spectral)
        assert says(text, f"{max(r.auc for r in spectral if r.auc is not None):.2f}")
        assert says(text, f"{row(found, 'weight_decay', variant=variant).auc:.2f}")


def test_what_the_spectrum_does_within_weight_decay_1(found, text):
    def at(statistic, stride=None, scheme="seed", variant=""):
        return row(found, statistic, stride, f"{scheme}, weight decay 1", variant)

    first, grok = at("gap_ratio_rise", 1), at("gap_ratio_rise", 1, variant=GROK)
    assert says(text, f"{first.hits} of {first.generalised}", f"{grok.hits} of {grok.generalised}", f"in {grok.others}")
    assert first.false_alarms == grok.false_alarms == 1
    position = at("edge_position_fall", 1, variant=GROK)
    assert says(text, f"{position.hits} of {position.generalised}")
    assert position.false_alarms == 0
    second = at("gap_ratio_rise", 1, scheme="second set", variant=GROK)
    assert says(text, f"{second.hits} of {second.generalised}", f"{second.median_lead:g} steps")
    free = [r for r in rows_of(found, "second set, weight decay 1", GROK) if not r.held_out_data]
    assert by_rank(r for r in free if not r.chosen)[0] == second
    assert says(text, f"{at('test_accuracy', scheme='second set').median_lead:g} steps")


def test_strides_norms_and_operations_have_the_counts_that_the_page_says(found, text):
    far = [
        r.hits
        for variant in ("", GROK)
        for scheme in SCHEMES[:3]
        for r in rows_of(found, scheme, variant)
        if r.kind == "spectral" and r.stride == 100
    ]
    assert says(text, f"{max(far)} of 12")
    norm = [row(found, "weight_norm_fall", variant=variant) for variant in ("", GROK)]
    assert says(text, f"{norm[0].hits} of {norm[0].generalised}")
    assert all(row(found, "g23_fall", 100, s, v).hits == 0 for s in SCHEMES for v in ("", GROK))
    hasty = row(found, "g23_fall", 100, variant="one evaluation")
    assert says(text, f"{hasty.hits} of {hasty.generalised}")
    groups = [g for g in row(found, "test_loss_fall", scheme="operation").groups if not g.generalised and g.alarms]
    assert [(g.operation, g.weight_decay, g.alarms, g.runs) for g in groups] == [("x2_xy_y2", 1.0, 3, 3)]


def test_the_readme_has_the_same_counts(found):
    readme = " ".join((ROOT / "README.md").read_text().split())
    loss, further = row(found, "test_loss_fall"), row(found, "test_loss_fall", scheme="second set")
    assert says(readme, f"{loss.hits} of {loss.generalised}", f"{loss.median_lead:g} steps", f"in {loss.others}")
    assert says(readme, f"{further.hits} of {further.generalised}")
    spectral = [statistic for statistic in STATISTICS if statistic[1] is not None]
    assert all(row(found, *statistic).hits == 0 for statistic in spectral)
    ratio = row(found, "gap_ratio_rise", 1, "seed, weight decay 1", GROK)
    later = row(found, "test_loss_fall", None, "seed, weight decay 1", GROK)
    assert ratio.median_lead < later.median_lead
    assert says(readme, f"{ratio.hits} of {ratio.generalised}", f"in {ratio.others}")
    norm = row(found, "weight_norm_fall")
    assert says(readme, f"{norm.hits} of {norm.generalised}")


def says(text, *numbers):
    """Whether the page has each number or count, in whatever words."""
    return [number for number in numbers if not re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", text)] == []
