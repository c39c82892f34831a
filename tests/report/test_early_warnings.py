import csv

import numpy as np
import pytest

from spectral_edge.experiments.early_warning import early_warnings, trace_statistics, warning_points
from spectral_edge.report import experiment_markdown, write_experiment_report
from spectral_edge.report.early_warnings import (
    draw_leads,
    draw_traces,
)
from support.planted_warnings import CONFIG, planted_second, planted_sweep


@pytest.fixture(scope="module")
def found():
    return early_warnings(planted_sweep(), planted_second())


def test_every_hit_is_a_mark_at_its_lead_beside_the_counts(found):
    figure = draw_leads(found.alarms).figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "sweep, one seed left out", "the same within weight decay 1", "second set, thresholds of the sweep",
    ]  # fmt: skip
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[0] == "g23 fall, stride 1"
    place = names.index("test loss fall")
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    (loss,) = marks
    assert list(loss.get_xdata()) == [400] * 6
    assert np.round(loss.get_ydata()).tolist() == [place] * 6
    counts = [text.get_text() for text in figure.axes[0].texts]
    assert counts[place] == "6/6, 0/18 false"
    assert counts[0] == "0/6, 0/18 false"


def test_traces_have_a_line_a_run_a_dot_an_event_and_two_thresholds():
    traces = trace_statistics(planted_sweep(), CONFIG)
    figure = draw_traces(traces).figure
    panel = next(axes for axes in figure.axes if axes.get_title(loc="left") == "test loss fall")
    dots = [line for line in panel.lines if line.get_marker() == "o"]
    assert sorted(line.get_xdata()[0] for line in dots) == [2100, 2100, 2200, 2200, 2300, 2300]
    assert len(panel.lines) == 24 + 6 + 2
    assert panel.lines[-2].get_ydata()[0] == pytest.approx(np.log(1 / 0.9))
    assert draw_traces([]).figure is not None


def test_tables_and_figures_are_written(found, tmp_path):
    points = warning_points(found)
    paths = write_experiment_report(
        "early_warning",
        points,
        (draw_leads(found.alarms), draw_traces(trace_statistics(planted_sweep(), CONFIG))),
        tmp_path,
    )
    assert {path.name for path in paths} == {
        f"early_warning_{name}.{kind}" for name in ("leads", "traces") for kind in ("png", "pdf")
    }
    with (tmp_path / "tables" / "early_warning_2.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(points[1].columns)
    assert rows[1] == list(points[1].rows[0])
    assert not (tmp_path / "tables" / "early_warning_10.csv").exists()


def test_the_record_names_command_commit_and_day(found):
    text = experiment_markdown("early-warning", warning_points(found), "abc123", "2026-01-02")
    assert text.startswith(
        "## 2026-01-02: early warning\n\n* Command: `make experiment NAME=early-warning`\n* Commit: `abc123`\n"
    )
    assert text.count("\n### ") == 9
    assert "| test_loss_fall | yes | 6 of 6 [0.54, 1.00] |" in text
