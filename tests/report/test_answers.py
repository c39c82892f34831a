"""The answers as text and figures: every excess at its place, and what lies outside where the reader looks."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_edge.report.answers import answers_frame, answers_table, effect_lines, effect_text, outcomes
from spectral_edge.report.forest import draw_answers, draw_forest
from spectral_edge.report.placed import draw_placed, placed_sentence
from support.synthetic import ANSWERS, make_answer, make_effect, make_placed


def test_every_answer_has_one_place():
    found = dict(outcomes(ANSWERS))
    assert [heading for heading, text in found.items() if "(C6)" in text] == ["Special to the edge."]
    assert [heading for heading, text in found.items() if "(C7)" in text] == ["Not special to the edge."]
    assert [heading for heading, text in found.items() if "(C1)" in text] == ["Undecided."]
    assert [heading for heading, text in found.items() if "(C13)" in text] == ["Not asked."]
    assert outcomes([]) == []
    two = dict(outcomes([make_answer("C6", specific="no"), make_answer("C7", specific="no")]))
    assert two["Not special to the edge."].startswith("2 claims do not")


def test_a_claim_s_lines_are_its_nulls_then_beyond_the_weights_then_existence():
    lines = effect_lines(make_answer("C6"))
    assert [(line.effect, line.answer) for line in lines] == [
        ("0.200 [0.170, 0.230]", "yes"),
        ("0.040 [0.010, 0.070]", "undecided"),
        ("0.100 [0.070, 0.130]", "yes"),
        ("0.300 [0.270, 0.330]", "yes"),
    ]
    assert [("strongest" in line.null) for line in lines] == [False, True, False, False]
    assert effect_text(ANSWERS[-1]) == "—"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((47.476, 24.035, 70.918), "47 [24, 71]"),
        ((-0.0046, -0.0501, 0.0409), "−0.005 [−0.050, 0.041]"),
        ((1.82, 1.39, 2.25), "1.82 [1.39, 2.25]"),
        ((1.5, 1.5, 1.5), "1.5"),
    ],
)
def test_an_effect_has_the_decimals_of_its_interval(values, text):
    effect, low, high = values
    answer = make_answer("C6", effect=effect, low=low, high=high, unit="")
    assert effect_text(answer) == text


def test_the_table_says_how_many_of_the_planned_seeds_there_are():
    row = answers_table([make_answer("C6", n=12)]).splitlines()[2]
    assert row.endswith("| 12 of 30 | undecided 91 % |")
    assert "[C6](claims/C6.md)" in answers_table([make_answer("C6")], link="claims/{}.md")
    frame = answers_frame(ANSWERS)
    assert frame["specific"].to_list() == ["undecided", "yes", "no", None]


def points(axes, marker):
    return [
        (float(x), float(y))
        for line in axes.get_lines()
        if line.get_marker() == marker
        for x, y in zip(np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata()), strict=True)
    ]


def test_a_forest_has_every_excess_in_units_of_its_margin():
    drawing = draw_forest([make_answer("C6"), ANSWERS[-1]])
    (axes,) = drawing.figure.axes
    assert points(axes, "s") == [(pytest.approx(0.2 / 0.055), -1.0), (pytest.approx(0.1 / 0.055), -3.0)]
    assert points(axes, "o") == [(pytest.approx(0.04 / 0.055), -2.0)]
    labels = axes.get_yticklabels()
    assert [label.get_fontweight() for label in labels] == ["bold", "normal", "bold", "normal", "normal"]
    assert drawing.notes == ("C13: It has no number.",)
    segments = [segment[:, 0] for lines in axes.collections for segment in lines.get_segments()]
    assert any(np.allclose(segment, (0.01 / 0.055, 0.07 / 0.055)) for segment in segments)


def test_what_runs_beyond_the_axis_ends_in_an_arrow():
    answer = make_answer("C6")
    far = answer.tasks[0].model_copy(update={"effects": [make_effect("weights", -2.0)]})
    (axes,) = draw_forest([answer.model_copy(update={"tasks": [far]})]).figure.axes
    assert points(axes, "<") == [(-3.0, -1.0)]
    assert points(axes, "X") == [], "the mean itself lies outside"


def test_one_line_a_claim_has_the_null_that_decides():
    drawing = draw_answers([make_answer("C6"), make_answer("C7"), ANSWERS[-1]])
    (axes,) = drawing.figure.axes
    assert points(axes, "o") == [(pytest.approx(0.04 / 0.055), -float(place)) for place in (0, 1)]
    assert points(axes, "s") == [], "other nulls have no line"
    assert [label.get_text().split(",")[0] for label in axes.get_yticklabels()] == ["C6", "C7"]


def test_a_caption_explains_only_marks_that_are_drawn():
    answer = make_answer("C6")
    task = answer.tasks[0]
    assert "Open marks" in draw_forest([answer]).caption
    bare = task.model_copy(update={"beyond_weights": None, "margin": 0.5})
    plain = draw_forest([answer.model_copy(update={"tasks": [bare]})])
    assert "Open marks" not in plain.caption
    assert "C9" not in plain.caption
    assert "An arrow" in draw_forest([answer]).caption, "0.3 is more than five margins of 0.055"
    assert "An arrow" not in plain.caption


def test_no_answer_no_forest():
    assert draw_answers([ANSWERS[-1]]).figure is None
    assert draw_forest([ANSWERS[-1]]).figure is None


def test_numbers_are_placed_on_the_scale_of_their_interval():
    inside = make_placed(0.2)  # the middle of 0.1 to 0.4 on a logarithmic scale
    outside = make_placed(0.9, statistic="head_purity", logarithmic=False)
    (axes,) = draw_placed([inside, outside]).figure.axes
    assert points(axes, "o") == [(pytest.approx(0.0), 0.0), (pytest.approx(2.2), -1.0)]
    faces = [line.get_markerfacecolor() == "white" for line in axes.get_lines() if line.get_marker() == "o"]
    assert faces == [False, True]
    assert placed_sentence([inside, outside]).startswith("1 of 2 numbers lie in the 95 % interval of the 30 stored")


def test_an_interval_of_no_width_has_its_number_in_the_middle():
    (axes,) = draw_placed([make_placed(0.2, 0.2, 0.2)]).figure.axes
    assert points(axes, "o") == [(0.0, 0.0)]


def test_operations_have_panels():
    figure = draw_placed([make_placed(), make_placed(task="mul"), make_placed(task="sub")]).figure
    assert [axes.get_title("left") for axes in figure.axes[:3]] == ["add (a + b)", "sub (a − b)", "mul (a · b)"]
    assert draw_placed([]).figure is None
