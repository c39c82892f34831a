"""The figure and tables of the evidence on causes."""

import csv

import numpy as np
import polars
import pytest

from spectral_edge.experiments.causes import CausesProtocol, causes_points
from spectral_edge.report import draw_causes, experiment_markdown, write_experiment_report
from support.planted_causes import planted


@pytest.fixture(scope="module")
def tables():
    parts = [planted(task="add", delay=0.5, excess=0.7), planted(task="mul")]
    return {kind: polars.concat([part[kind] for part in parts]) for kind in parts[0]}


def marks(axes):
    return {round(line.get_ydata()[0]): line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"}


def test_marks_stand_at_geometric_means(tables):
    figure = draw_causes(tables).figure
    removal, delay, bent = figure.axes[::2]  # of the first of two operations
    own = tables["ablation"].filter(task="add", null="span", strength=1.0)
    assert marks(removal)[0] == pytest.approx(np.exp(own["measured"].mean()))
    assert marks(removal)[-3] == pytest.approx(np.e)  # every control's mean log loss is 1
    assert marks(removal)[-6] == pytest.approx(0.011)
    assert marks(delay)[0] == pytest.approx(np.exp(0.5), rel=0.02)
    assert marks(delay)[-2] == pytest.approx(1, rel=0.02)
    assert marks(bent)[0] == pytest.approx(np.exp(0.7), rel=0.02)
    labels = [label.get_text() for label in delay.get_yticklabels()]
    assert len(labels) == len(set(labels)) == 7


def test_report_has_a_table_a_point_and_a_figure(tables, tmp_path):
    points = causes_points(tables, CausesProtocol(operations=("add", "mul")))
    figures = write_experiment_report("causes", points, [draw_causes(tables)], tmp_path)
    assert [path.suffix for path in figures] == [".png", ".pdf"]
    text = experiment_markdown("causes", points, "abc123", "2026-01-02")
    assert text.count("\n### ") == len(points) == len(list((tmp_path / "tables").iterdir()))
    with (tmp_path / "tables" / "causes_1.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["task"] for row in rows} == {"all", "add", "mul"}
    assert [row["answer"] for row in rows if "removing the edge raises the loss more" in row["question"]] == [
        "no",
        "yes",
        "no",
    ]
    for line in text.splitlines():  # a bar in a cell would make another column
        assert not line.startswith("|") or line.count("|") - 1 in {len(point.columns) for point in points}


def test_tables_hold_means_and_excesses_over_seeds(tables):
    points = {point.title: point for point in causes_points(tables, CausesProtocol(operations=("add", "mul")))}

    def row(title, **keys):
        point = next(point for name, point in points.items() if name.startswith(title))
        found = [dict(zip(point.columns, cells, strict=True)) for cells in point.rows]
        return next(cells for cells in found if all(cells[name] == value for name, value in keys.items()))

    seeds = tables["steering"].filter(task="add", null="span", strength=1.0, quantity="log_share")["measured"] - 1
    half = 1.8945786 * seeds.std() / 8**0.5  # Student's t of seven degrees of freedom, 90 %
    said = f"{seeds.mean():.3f} [{seeds.mean() - half:.3f}, {seeds.mean() + half:.3f}]"
    cells = row("What a step", task="add", strength="1", quantity="log_share")
    assert (cells["n"], cells["span"]) == ("8", said)
    own = tables["ablation"].filter(task="mul", null="theta", strength=0.5)["measured"]
    cells = row("Every step", task="mul", moved="removed", strength="0.5", quantity="log_loss")
    assert float(cells["measured"]) == pytest.approx(own.mean(), rel=5e-3)
    assert (cells["theta"], cells["unmatched"]) == ("1", "—")
    cells = row("Training", task="add", **{"training arm": "edge"})
    assert [cells[name] for name in ("norm", "cosine theta", "cosine done")] == ["1.25", "0.5", "0.7"]
    assert row("Training", task="add", **{"training arm": "rest"})["cosine theta"] == "—"
