import csv

import numpy as np

from spectral_edge.experiments.discovery import Picture, Point, seven_points
from spectral_edge.report import experiment_markdown
from spectral_edge.report.discoveries import (
    draw_discovery,
    draw_emergence,
    write_discovery_report,
)
from spectral_edge.store import DiscoveryRow


def row(step, source, pvalue, recovered=False, run_id="add-s42-x"):
    return DiscoveryRow(
        run_id=run_id, operation="add", renaming=None, p=97, seed=42, step=step, test_accuracy=step / 4000,
        source=source, directions=8, window=20, stride=100, centered=True, null_draws=100, null_seed=0, pairs_known=1.0,
        answer="sum", pvalue=pvalue, evenness=0.1, commutator=0.1, dimension=10, interaction_share=0.5, dispersions=[],
        frequencies=None, law=None, kind=None, law_share=None, law_pvalue=None, task_share=0.1, agreement=None,
        group_agreement=None, recovered=recovered, known=[], seconds=1.0,
    )  # fmt: skip


ROWS = [
    row(step, source, p, recovered)
    for source in ("edge", "random")
    for step, p, recovered in ((300, 0.8, False), (600, 0.04, False), (900, 0.0099, True))
]
Z = np.exp(2j * np.pi * np.arange(7) / 7)
PICTURE = Picture(
    "discovery_x", "add, 7 tokens", "run, step 900", "none of these; Z_7, sum; p = 0.010", True, Z[None], np.arange(7),
    np.linspace(0.3, 0.1, 6), np.full(6, 0.2), np.cos(np.add.outer(np.arange(7), np.arange(7))), np.arange(7)[::-1],
)  # fmt: skip


def test_a_discovery_is_drawn_before_and_after_reordering():
    axes = draw_discovery(PICTURE).figure.axes
    assert len(axes) == 5
    before, after = (np.asarray(panel.images[0].get_array()) for panel in axes[-2:])
    assert np.array_equal(before, PICTURE.function)
    assert np.array_equal(after, PICTURE.function[::-1, ::-1])
    assert np.allclose(axes[0].collections[0].get_offsets(), np.stack([Z.real, Z.imag], axis=1))
    assert len(axes[1].collections) == 0  # there is no second character


def test_emergence_has_a_panel_a_model_and_a_ring_where_the_law_was_found():
    figure = draw_emergence([*ROWS, *(row(300, s, 0.5, run_id="mul-s1-y") for s in ("edge", "random"))]).figure
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert len(panels) == 2
    rings = [line for line in panels[0].lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in rings] == [[900], [900]]


def test_the_page_escapes_what_it_prints_and_the_tables_hold_it(tmp_path):
    points = [Point("1. <b>", "a & b", ("x", "y"), (("<script>", "2, 3"),))]
    page = write_discovery_report(points, ROWS, [PICTURE], tmp_path).read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<figure") == 2
    with (tmp_path / "tables" / "point_1.csv").open() as file:
        assert list(csv.reader(file)) == [["x", "y"], ["<script>", "2, 3"]]
    assert (tmp_path / "figures" / "discovery_emergence.pdf").exists()


def test_the_record_names_command_commit_and_day():
    text = experiment_markdown("discovery", seven_points(ROWS), "abc123", "2026-01-02")
    assert text.startswith("## 2026-01-02: discovery")
    assert "abc123" in text
    assert text.count("\n### ") == 8
    assert "| add | 42 | edge | 600 | 900 |" in text  # first structure, first recovery
