import csv

import numpy as np

from spectral_edge.experiments.rounding import rounding_points
from spectral_edge.report import experiment_markdown, write_experiment_report
from spectral_edge.report.rounding import draw_copies
from spectral_edge.store import Rounding
from support.planted_copies import planted_rounding


def test_every_copy_is_a_mark_with_its_peak_and_every_pair_a_line():
    found = planted_rounding()
    figure = draw_copies(found).figure
    distances, peaks = figure.axes[:2], figure.axes[2:]
    assert [axes.get_title(loc="left") for axes in distances] == ["add (a + b)", "mul (a · b)"]
    assert [len(axes.lines) for axes in distances] == [3, 1]
    assert distances[0].lines[1].get_xdata().tolist() == [100, 200, 300]  # a distance of 0 has no logarithm
    marks = [line for line in peaks[0].lines if len(line.get_xdata()) == 1]
    assert sorted(round(float(line.get_ydata()[0]), 3) for line in marks) == sorted(
        round(row.concentration[0], 3) for row in found.copies if row.operation == "add"
    )
    assert [text.get_text() for text in peaks[0].texts] == ["26"] * 5 + ["2"] * 5 + ["3"] * 5
    places = np.array([line.get_xdata()[0] for line in marks]).reshape(3, 5)
    assert (np.abs(places - np.arange(3)[:, None]) < 0.5).all()
    for axes in peaks:
        low, high = axes.get_ylim()
        shown = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        assert low == 0
        assert max(shown) < high


def test_nothing_measured_draws_nothing():
    assert draw_copies(Rounding(environment={}, copies=[], partings=[])).sources == ()


def test_tables_and_figures_are_written(tmp_path):
    found = planted_rounding()
    points = rounding_points(found)
    paths = write_experiment_report("rounding", points, [draw_copies(found)], tmp_path)
    assert sorted(path.suffix for path in paths) == [".pdf", ".png"]
    for number, point in enumerate(points, start=1):
        with (tmp_path / "tables" / f"rounding_{number}.csv").open() as file:
            assert list(csv.reader(file)) == [list(point.columns), *map(list, point.rows)]


def test_the_section_names_its_command_and_commit():
    text = experiment_markdown("rounding", rounding_points(planted_rounding()), "abc123", "2026-01-02")
    assert text.startswith(
        "## 2026-01-02: rounding\n\n* Command: `make experiment NAME=rounding`\n* Commit: `abc123`\n"
    )
    assert "| 42, the paper's | 3, 3, 3, 3, 3 | 3.0 | 0.021 |" in text
