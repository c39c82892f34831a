"""Which run, checkpoint and rows the figures take when more than one would do."""

from __future__ import annotations

import dataclasses

import numpy as np

from spectral_edge.report.selection import (
    latest_checkpoint,
    representatives,
    spectrum_panels,
)
from support.synthetic import make_analysis


def bare(task: str, seed: int, weight_decay: float = 1.0):
    analysis = make_analysis(task, seed)
    summary = analysis.summary.model_copy(update={"weight_decay": weight_decay})
    return dataclasses.replace(analysis, summary=summary)


def test_one_run_per_task_in_the_papers_order():
    runs = [bare("x2_y2", 7), bare("add", 42, 0.0), bare("add", 137), bare("add", 2024), bare("mul", 42)]
    chosen = representatives(runs)
    assert list(chosen) == ["add", "mul", "x2_y2"]
    assert chosen["add"] is runs[2]


def test_order_of_the_input_does_not_matter():
    runs = [bare("add", 137), bare("add", 42), bare("add", 2024)]
    assert representatives(runs)["add"] is representatives(runs[::-1])["add"] is runs[1]


def test_the_stop_checkpoint_goes_before_the_transition():
    analysis = make_analysis("add")
    assert latest_checkpoint(analysis, "energy") == "stop"
    transition = dataclasses.replace(analysis, arrays={"energy.transition": np.ones((3, 5, 5))})
    assert latest_checkpoint(transition, "energy") == "transition"
    assert latest_checkpoint(transition, "profile", ".sum.power") is None


def test_a_panel_names_its_setting_and_the_published_peaks():
    (panel,) = spectrum_panels({"add": make_analysis("add")})[0]
    assert panel.published_peaks == (25, 26)
    assert "stop (step 4000), stride 100, window 20, centred, held-out inputs; grouped by sum (a + b)" in panel.source
    panels, _ = spectrum_panels({"mul": make_analysis("mul")})
    assert [panel.published_peaks for panel in panels] == [(), (29,)]


def test_panels_say_why_one_is_missing():
    panels, missing = spectrum_panels({"add": make_analysis("add")})
    assert [panel.title for panel in panels] == ["add, by sum (a + b)"]
    assert missing[0] == "sub by difference: no run of this task"
