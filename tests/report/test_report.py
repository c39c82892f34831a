"""The report as a reader and a browser meet it: files, offline page, escaping, gaps in the stored results."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from plotly.offline import get_plotlyjs

from spectral_edge.report import write_report
from spectral_edge.report.interactive import _log_marks, interactive_training
from spectral_edge.report.maps import draw_characters, draw_modes
from spectral_edge.report.tables import EVIDENCE_COLUMNS, ROW_COLUMNS
from spectral_edge.store.results import ClaimRow, Interval, NullSummary, PeakNull, RunSummary
from support.synthetic import ANSWERS, FakeAnalysis, fake_row, make_analysis, make_answer, make_claims, make_numbers

HOSTILE = "<script>alert('x')</script>$\\frac{1}{0}$ \"&"
FIGURES = {"forest", "placed", "spectra", "modes", "characters", "training_stride100", "training_stride1"}
FIGURES |= {"claim_C6"}  # the only claim of which these results have numbers


class Page(HTMLParser):
    """Collects the tags with attributes and the text outside scripts and styles."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._silent = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        if not self._silent:
            self.text.append(data)

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def read(out) -> str:
    return (out / "report.html").read_text(encoding="utf-8")


def strip(analysis: FakeAnalysis, *kept: str) -> FakeAnalysis:
    arrays = {key: array for key, array in analysis.arrays.items() if key.startswith(kept)}
    return dataclasses.replace(analysis, arrays=arrays)


def test_writes_page_figures_and_tables(report):
    assert {path.name for path in (report / "figures").iterdir()} == {
        f"{name}.{kind}" for name in FIGURES for kind in ("png", "pdf")
    }
    assert {path.name for path in (report / "tables").iterdir()} == {
        "answers.csv",
        "answers.md",
        "answers.tex",
        "evidence.csv",
        "findings.md",
        "numbers.csv",
        "runs.csv",
    }
    for path in (report / "figures").iterdir():
        magic = {".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix]
        assert path.read_bytes().startswith(magic)


def test_page_loads_nothing_from_outside(report):
    html = read(report)
    for _, attributes in Page(html).tags:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    # An image may refer to a part of itself.
    assert set(re.findall(r"url\(.{3}", html)) <= {"url(%23"}
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_plotly_is_embedded_once_and_whole(report):
    pattern = r'<script type="application/octet-stream" id="plotly">([A-Za-z0-9+/=]+)</script>'
    (packed,) = re.findall(pattern, read(report))
    assert zlib.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()


def test_every_plot_is_followed_by_its_data(report, analyses):
    data = re.findall(r'<div class="plot">.*?</div><script type="application/json">(.*?)</script>', read(report))
    # Two accuracies, and for each of two strides five singular values, the gap and the ratio.
    assert [len(json.loads(one)["data"]) for one in data] == [2 + 2 * 7] * len(analyses)


def test_every_column_of_numbers_is_aligned_by_a_rule_that_css_can_read(report):
    (selectors,) = re.findall(r"^(.*td:nth-child.*) \{ text-align: right; \}$", read(report), re.MULTILINE)
    assert selectors.split(", ") == [
        f"#{holder} td:nth-child({i})"
        for holder, columns in (("evidence-table", EVIDENCE_COLUMNS), ("row-table", ROW_COLUMNS))
        for i, column in enumerate(columns, 1)
        if column.numeric
    ]
    assert 'id="evidence-table"' in read(report)


@pytest.mark.parametrize("draw", [draw_modes, draw_characters])
def test_maps_of_one_run_are_whole_and_have_marks(draw):
    figure = draw({"mul": make_analysis("mul")}).figure
    assert figure is not None
    inside = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert (inside.x0 >= 0, inside.y0 >= 0, inside.x1 <= width, inside.y1 <= height) == (True,) * 4
    for axes in (one for one in figure.axes if one.images):
        low, high = sorted(axes.get_xlim())
        assert sum(low <= mark <= high for mark in axes.get_xticks()) >= 3


@pytest.mark.parametrize(("low", "high"), [(1e-4, 3e-1), (1.4, 9.0), (0.2, 0.6), (7.0, 8.0), (1e-9, 4.0), (3.0, 3.0)])
def test_a_logarithmic_panel_has_a_few_marks(low, high):
    """Counted as plotly places them: at each ``dtick`` decades, at multiples of ``L…``, or at the values given."""
    marks = _log_marks(np.array([low, np.nan, high, 0.0]))
    if marks["tickmode"] == "array":
        found = [value for value in marks["tickvals"] if low <= value <= high]
    elif isinstance(marks["dtick"], str):
        step = float(marks["dtick"][1:])
        found = [i * step for i in range(1, 100) if low <= i * step <= high * 1.02]
    else:
        found = [e for e in range(-20, 20, marks["dtick"]) if np.log10(low / 1.3) <= e <= np.log10(high * 1.3)]
    assert (low == high) or 2 <= len(found) <= 7


def test_a_caption_names_the_strides_that_are_there(tmp_path):
    analysis = strip(make_analysis("add"), "spectrum.stride1.", "metrics")
    write_report(None, make_numbers([analysis]), [analysis], tmp_path)
    assert "updates 1 optimizer step apart, window" in Page(read(tmp_path)).words()
    assert "stride 100" not in "".join(plot.json for plot in interactive_training({"add": analysis}))


def test_reasons_with_full_stops_are_joined_into_one_sentence(tmp_path):
    empty = make_answer("C13", because="It has no number.", tasks=[])
    write_report(make_claims([make_answer("C6"), empty]), make_numbers([]), [], tmp_path)
    notes = re.findall(r'<p class="missing">(.*?)</p>', read(tmp_path))
    assert any("no number" in note for note in notes)
    assert not [note for note in notes if ".;" in note or ".." in note]


def test_every_link_within_the_page_has_its_target(report):
    tags = Page(read(report)).tags
    targets = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(targets) == len(set(targets))
    assert {attributes["href"][1:] for tag, attributes in tags if tag == "a"} <= set(targets)


def test_answers_are_words_as_well_as_signs(report):
    words = Page(read(report)).words()
    assert "✓ yes" in words
    assert "✗ no" in words
    assert "? undecided" in words
    assert "— not asked" in words


def test_summary_names_the_claims_by_outcome(report):
    words = Page(read(report)).words()
    assert "Special to the edge. 1 claim beats every matched null: In addition every edge direction" in words
    assert "Not special to the edge. 1 claim does not beat every matched null: Multiplication" in words
    assert words.index("Special to the edge.") < words.index("the published number lies among reruns of its seed")


def test_every_claim_s_section_has_its_effects_and_reasons(report):
    words = Page(read(report)).words()
    for answer in ANSWERS:
        assert answer.because in words
    assert "random directions at the same angle to the weights (strongest) 0.040 [0.010, 0.070] F 30 undecided" in words
    assert "exists: permuted inputs 0.300 [0.270, 0.330] F 30 yes" in words


def test_page_shows_every_row_with_missing_values_as_dashes(report, numbers):
    body = read(report).split('id="row-table"')[1].split("</table>")[0]
    lines = body.split("<tbody>")[1].split("<tr>")[1:]
    assert len(lines) == len(numbers.rows)
    assert {line.count("<td>") for line in lines} == {body.count("<th ")}
    assert "None" not in body
    assert "<td>—<td>" in body


def test_captions_name_run_step_and_setting(report, analyses):
    words = Page(read(report)).words()
    for analysis in analyses:
        setting = "stop (step 4000), stride 100, window 20, centred"
        assert f"run {analysis.summary.run_id}, seed 42, weight decay 1, {setting}" in words


def test_csv_columns_are_the_fields(report, numbers, claims):
    claim_rows = pl.read_csv(report / "tables" / "numbers.csv")
    nested = {
        "null": NullSummary,
        "permutation_null": NullSummary,
        "peak_null": PeakNull,
        "permutation_peak_null": PeakNull,
        "interval": Interval,
    }
    expected = [
        column
        for name in ClaimRow.model_fields
        for column in ([f"{name}.{inner}" for inner in nested[name].model_fields] if name in nested else [name])
    ]
    assert claim_rows.columns == expected
    assert pl.read_csv(report / "tables" / "answers.csv")["claim"].to_list() == [a.claim for a in claims.answers]
    evidence = pl.read_csv(report / "tables" / "evidence.csv")
    assert evidence["copy"].to_list() == [row.copy_ for row in claims.rows]
    assert pl.read_csv(report / "tables" / "runs.csv").columns == list(RunSummary.model_fields)
    assert claim_rows["measured"].to_list() == [row.measured for row in numbers.rows]
    assert claim_rows["null.pvalue"].to_list() == [row.null.pvalue for row in numbers.rows]


def test_hostile_text_is_shown_never_run(tmp_path):
    analysis = make_analysis(HOSTILE)
    claims = make_claims([make_answer("C6", HOSTILE, because=HOSTILE, unit=HOSTILE, strongest_null=HOSTILE)])
    numbers = make_numbers([analysis]).model_copy(
        update={"environment": {HOSTILE: {"inner": HOSTILE}}, "profile": HOSTILE}
    )
    kept = strip(analysis, "profile", "spectrum.stride100", "energy.stop")
    write_report(claims, numbers, [kept], tmp_path)
    html = read(tmp_path)
    assert "<script>alert" not in html
    assert "alert('x')" in Page(html).words()
    assert not any("onerror" in attributes for _, attributes in Page(html).tags)


@pytest.mark.parametrize(
    ("kept", "figures", "note"),
    [
        ((), set(), "mul by discrete_log: no stored profile"),
        (("spectrum.stride1.",), {"training_stride1"}, "mul: no stored spectrum at stride 100"),
        (("character.stop.discrete_log",), {"characters"}, "mul: no stored functional modes"),
        (("energy.stop",), {"modes"}, "mul: no stored 2-D spectrum"),
        (("profile.stop.discrete_log.power",), {"spectra"}, "add by sum: no run of this task"),
    ],
)
def test_missing_arrays_leave_a_note_instead_of_a_panel(tmp_path, kept, figures, note):
    analysis = make_analysis("mul")
    stripped = strip(analysis, *kept) if kept else dataclasses.replace(analysis, arrays={})
    write_report(None, make_numbers([analysis]), [stripped], tmp_path)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {*figures, "claim_C6"}
    words = Page(read(tmp_path)).words()
    assert note in words
    assert "No claim is answered in this report" in words


def test_nothing_to_report_is_still_a_report(tmp_path):
    write_report(None, make_numbers([]), [], tmp_path)
    assert "0 training runs" in Page(read(tmp_path)).words()
    assert pl.read_csv(tmp_path / "tables" / "runs.csv").height == 0


def test_a_run_without_rows_is_drawn_from_its_arrays(tmp_path):
    analysis = dataclasses.replace(strip(make_analysis("add"), "profile.stop.sum"), rows=[])
    write_report(None, make_numbers([analysis]), [analysis], tmp_path)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"spectra"}


def test_an_unknown_task_is_grouped_by_its_output(tmp_path):
    analysis = strip(make_analysis("x3_xy"), "profile")
    write_report(None, make_numbers([analysis]), [analysis], tmp_path)
    assert "grouped by output (a³ + ab)" in Page(read(tmp_path)).words()


def test_interactive_plots_are_the_same_each_time(analyses):
    runs = {"add": analyses[1]}
    assert interactive_training(runs) == interactive_training(runs)


def test_rows_of_mixed_shape_share_one_table(tmp_path):
    pairs = fake_row("add", "r", statistic="share:sum", grouping=None, direction=None, top=[(26, 26), (12, 12)])
    numbers = make_numbers([]).model_copy(update={"rows": [fake_row("add", "r"), pairs]})
    write_report(None, numbers, [], tmp_path)
    frame = pl.read_csv(tmp_path / "tables" / "numbers.csv")
    assert frame["top"].to_list() == ["[26, 12, 25]", "[[26, 26], [12, 12]]"]


def test_answers_as_markdown_have_a_line_a_claim(report, claims):
    lines = (report / "tables" / "answers.md").read_text().splitlines()
    assert len(lines) == 2 + len(claims.answers)
    for line, answer in zip(lines[2:], claims.answers, strict=True):
        assert line.startswith(f"| {answer.claim} | ")
        assert line.count("|") - line.count("\\|") == 10
