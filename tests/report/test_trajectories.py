"""C1 and C2 over training: which runs are drawn, where they are aligned, and what the ROC curve is."""

from __future__ import annotations

import dataclasses

import numpy as np

from spectral_edge.report.trajectories import draw_gap, draw_three_spectra
from support.synthetic import fake_row, make_analysis

STEPS = np.arange(1000, 5001, 100)


def spectra(task, seed, grok_step, weight_decay=1.0):
    key = {10: "spectra.w10.stride100.", 20: "spectra.w20.stride100."}
    arrays = {f"{key[window]}steps": STEPS for window in key}
    arrays |= {f"{key[10]}g23": 5.0 / (STEPS - 900), f"{key[10]}update_norm": 3.0 / STEPS}
    arrays |= {f"{key[20]}g23": 5.0 - STEPS / 1000, f"{key[20]}gap_ratio": 1 + STEPS / 1000}
    singular = np.stack([STEPS * 4.0, STEPS * 2.0, STEPS * 1.0], axis=1)
    arrays |= {"spectra.displacement.steps": STEPS, "spectra.displacement.singular_values": singular}
    arrays |= {"spectra.weights.steps": STEPS}
    for name, ratio in (("layer0.W_Q", 4.0), ("layer1.W_Q", 9.0), ("layer0.W_K", 2.0), ("layer1.W_K", 2.0)):
        arrays[f"spectra.weights.{name}.singular_values"] = np.stack([ratio * STEPS, STEPS], axis=1)
    analysis = make_analysis(task, seed)
    update = {
        "run_id": f"{task}-{seed}-{weight_decay:g}",
        "grok_step": grok_step,
        "stop_step": None if grok_step is None else grok_step + 200,
        "weight_decay": weight_decay,
    }
    return dataclasses.replace(analysis, arrays=arrays, summary=analysis.summary.model_copy(update=update))


def by_colour(axes):
    return sorted((line.get_color(), line.get_xdata()[0]) for line in axes.get_lines() if len(line.get_xdata()) > 2)


def test_runs_are_aligned_at_their_own_or_their_relatives_grok_step():
    analyses = [spectra("add", 42, 3000), spectra("add", 42, None, 0.0), spectra("x3_xy", 42, None)]
    analyses.append(spectra("sub", 42, 4000))
    drawing = draw_gap(analyses, [])
    # add at 3000, sub at 4000; the control of add like add; x3_xy at the lower median of both.
    assert by_colour(drawing.figure.axes[0]) == [
        ("#0072B2", -3000),
        ("#0072B2", -2000),
        ("#8a8a8a", -2000),
        ("#D55E00", -2000),
    ]


def test_series_begin_at_one():
    drawing = draw_gap([spectra("add", 42, 3000)], [])
    for axes in drawing.figure.axes[:2]:
        (line,) = [line for line in axes.get_lines() if len(line.get_xdata()) > 2]
        assert line.get_ydata()[0] == 1
        assert line.get_ydata()[-1] < 0.3


def test_roc_of_declines_is_drawn_beside_the_stored_area():
    analyses = [spectra("add", 42, 3000), spectra("sub", 42, 3000), spectra("x3_xy", 42, None)]
    shared = {"claim": "C1", "statistic": "g23_decline", "window": 10, "stride": 100}
    rows = [fake_row(a.summary.task, a.summary.run_id, measured=float(k), **shared) for k, a in enumerate(analyses)]
    area = fake_row("all", "", **(shared | {"statistic": "auc", "grouping": "g23_decline", "measured": 0.25}))
    other = area.model_copy(update={"stride": 1, "measured": 0.99})
    drawing = draw_gap(analyses, [*rows, other, area])
    (text,) = drawing.figure.axes[2].get_legend().get_texts()
    assert text.get_text() == "g23 decline: area 0.25"


def test_three_spectra_of_each_task():
    drawing = draw_three_spectra({"add": spectra("add", 42, 3000), "x3_xy": spectra("x3_xy", 42, None)})
    axes = drawing.figure.axes
    assert len(axes) == 8

    def values(place):
        return [line.get_ydata() for line in axes[place].get_lines() if len(line.get_xdata()) > 2]

    np.testing.assert_allclose(values(0)[0], 1 + STEPS / 1000)
    assert np.isnan(values(2)[0]).any()  # g23 ≤ 0 has no place on a logarithmic axis
    np.testing.assert_allclose(values(4)[0], 2.0)
    np.testing.assert_allclose([v[0] for v in values(6)], [6.0, 2.0])  # geometric means of 4 and 9, of 2 and 2
    assert len(axes[0].get_lines()) == 2  # the curve and the grok step
    assert len(axes[1].get_lines()) == 1


def test_nothing_stored_is_said():
    assert draw_gap([make_analysis("add")], []).notes == ("C1: no stored g₂₃ over training of a run that grokked",)
    assert draw_three_spectra({"add": make_analysis("add")}).figure is None
