"""The heatmaps of a sweep: a cell a setting, hatched where there is none, the main setting framed."""

from __future__ import annotations

from matplotlib.patches import Rectangle

from spectral_edge.report.lines import lines_of
from spectral_edge.report.sweeps import draw_sweep
from support.many_seeds import sensitivity_rows
from support.synthetic import fake_row

MAIN = {"window": 20, "stride": 100, "centered": True}


def panels(drawing):
    return {axes.get_title("left"): axes for axes in drawing.figure.axes if axes.get_title("left")}


def cells(axes):
    return {
        (patch.get_x() + 0.48, patch.get_y() + 0.47): patch for patch in axes.patches if isinstance(patch, Rectangle)
    }


def draw(rows, main=MAIN):
    return draw_sweep("C6", lines_of(rows, sensitivity=True), main)


def test_a_panel_for_each_checkpoint_and_centring_and_a_strip():
    drawing = draw(sensitivity_rows("C6"))
    assert list(panels(drawing)) == [
        "at the transition, centred",
        "at the transition, uncentred",
        "at the stop, centred",
        "at the stop, uncentred",
        "finite difference",
    ]
    strip = panels(drawing)["finite difference"]
    assert [label.get_text() for label in strip.get_xticklabels()] == ["0.0005", "0.005", "0.05"]


def test_absent_settings_are_hatched_and_others_name_their_p():
    rows = sensitivity_rows("C6")
    axes = panels(draw(rows))["at the stop, centred"]
    assert len(cells(axes)) == 3 * 2
    assert [place for place, patch in cells(axes).items() if patch.get_hatch()] == [(2, 1)]  # window 40, stride 100
    wanted = {"window": 10, "stride": 10, "centered": True, "checkpoint": "stop", "relative_epsilon": None}
    (row,) = [r for r in rows if r.seeds and all(getattr(r, name) == value for name, value in wanted.items())]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert float(texts[0, 0].replace("−", "-")) == float(f"{row.null.pvalue:.2g}")


def test_small_p_is_bold_and_darker():
    rows = [
        row.model_copy(update={"null": row.null.model_copy(update={"pvalue": p})})
        for row, p in zip(sensitivity_rows("C6")[:8:4], (0.001, 0.4), strict=True)
    ]
    shown = [(axes.texts[0], next(iter(cells(axes).values()))) for axes in panels(draw(rows)).values() if axes.texts]
    assert [text.get_fontweight() for text, _ in shown] == ["bold", "normal"]
    assert sum(shown[0][1].get_facecolor()[:3]) < sum(shown[1][1].get_facecolor()[:3])


def test_the_main_setting_is_framed_where_its_centring_is():
    for name, axes in panels(draw(sensitivity_rows("C6"))).items():
        framed = [place for place, patch in cells(axes).items() if patch.get_linewidth() > 2]
        assert framed == ([(1, 1)] if name.endswith(", centred") else [])


def test_stability_stands_in_the_sources():
    stable = fake_row("add", "r", statistic="verdict_stability:concentration", measured=0.82, null=None)
    (source,) = draw([*sensitivity_rows("C6"), stable]).sources
    assert source.startswith("add, concentration F of v1: ")
    assert "82% of the settings" in source


def test_what_does_not_fit_is_noted():
    some = [row for row in sensitivity_rows("C6") if row.window == 20 and row.seeds]
    rows = [row.model_copy(update={"direction": f"v{k}"}) for k in range(7) for row in some]
    drawing = draw(rows)
    assert drawing.notes == ("2 further swept numbers of C6, listed in tables/numbers.csv",)
    assert sum(bool(axes.get_title("left")) for axes in drawing.figure.axes) == 5 * 5


def test_no_sweep_no_figure():
    assert draw([]).figure is None
