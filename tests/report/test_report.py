"""The report as a reader and a browser meet it: files, offline page, escaping, gaps in the stored results."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import zlib
from html.parser import HTMLParser

import polars as pl
import pytest
from plotly.offline import get_plotlyjs

from spectral_edge.report import write_report
from spectral_edge.report.interactive import interactive_training
from spectral_edge.report.writing import _judged
from spectral_edge.store.results import ClaimRow, Interval, NullSummary, PeakNull, RunSummary, Verdict
from support.synthetic import FakeAnalysis, fake_row, make_analysis, make_claims

HOSTILE = "<script>alert('x')</script>$\\frac{1}{0}$ \"&"
FIGURES = {"spectra", "concentration", "modes", "characters", "training_stride100", "training_stride1"}
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
        "claims.csv",
        "verdicts.csv",
        "verdicts.md",
        "runs.csv",
        "claims.tex",
        "findings.md",
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


def test_every_link_within_the_page_has_its_target(report):
    tags = Page(read(report)).tags
    targets = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(targets) == len(set(targets))
    assert {attributes["href"][1:] for tag, attributes in tags if tag == "a"} <= set(targets)


def test_verdicts_are_words_as_well_as_signs(report):
    words = Page(read(report)).words()
    assert "✓ yes" in words
    assert "✗ no" in words
    assert "— not decided" in words


def test_summary_names_the_claims_by_outcome(report):
    words = Page(read(report)).words()
    assert "What holds. 1 claim reproduces and survives its matched null: In addition every edge direction" in words
    assert "a² + b² (C9, nor does it survive its null)." in words
    assert words.index("What holds.") < words.index("the published number comes back within the stated tolerance")


def test_page_shows_every_row_with_missing_values_as_dashes(report, claims):
    body = read(report).split('id="row-table"')[1].split("</table>")[0]
    lines = body.split("<tbody>")[1].split("<tr>")[1:]
    assert len(lines) == len(claims.rows)
    assert {line.count("<td>") for line in lines} == {body.count("<th ")}
    assert "None" not in body
    assert "<td>—<td>" in body


def test_captions_name_run_step_and_setting(report, analyses):
    words = Page(read(report)).words()
    for analysis in analyses:
        setting = "stop (step 4000), stride 100, window 20, centred, jvp"
        assert f"run {analysis.summary.run_id}, seed 42, weight decay 1, {setting}" in words


def test_csv_columns_are_the_fields(report, claims):
    claim_rows = pl.read_csv(report / "tables" / "claims.csv")
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
    assert pl.read_csv(report / "tables" / "verdicts.csv").columns == list(Verdict.model_fields)
    assert pl.read_csv(report / "tables" / "runs.csv").columns == list(RunSummary.model_fields)
    assert claim_rows["measured"].to_list() == [row.measured for row in claims.rows]
    assert claim_rows["null.pvalue"].to_list() == [row.null.pvalue for row in claims.rows]


def test_hostile_text_is_shown_never_run(tmp_path):
    analysis = make_analysis(HOSTILE)
    verdict = Verdict(claim=HOSTILE, statement=HOSTILE, reproduces=None, survives_null=None, because=HOSTILE)
    claims = make_claims([analysis], [verdict]).model_copy(
        update={"environment": {HOSTILE: {"inner": HOSTILE}}, "profile": HOSTILE}
    )
    kept = strip(analysis, "profile", "spectrum.stride100", "energy.stop")
    write_report(claims, [kept], tmp_path)
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
        (("profile.stop.discrete_log.power",), {"spectra", "concentration"}, "add by sum: no run of this task"),
    ],
)
def test_missing_arrays_leave_a_note_instead_of_a_panel(tmp_path, kept, figures, note):
    analysis = make_analysis("mul")
    stripped = strip(analysis, *kept) if kept else dataclasses.replace(analysis, arrays={})
    write_report(make_claims([analysis], []), [stripped], tmp_path)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == figures
    words = Page(read(tmp_path)).words()
    assert note in words
    assert "No claim is judged in this report" in words


def test_nothing_to_report_is_still_a_report(tmp_path):
    write_report(make_claims([], []), [], tmp_path)
    assert "0 training runs" in Page(read(tmp_path)).words()
    assert pl.read_csv(tmp_path / "tables" / "claims.csv").height == 0


def test_a_run_without_rows_is_drawn_from_its_arrays(tmp_path):
    analysis = dataclasses.replace(strip(make_analysis("add"), "profile.stop.sum"), rows=[])
    write_report(make_claims([analysis], []), [analysis], tmp_path)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"spectra"}
    assert "add by sum: no concentration rows" in Page(read(tmp_path)).words()


def test_an_unknown_task_is_grouped_by_its_output(tmp_path):
    analysis = strip(make_analysis("x3_xy"), "profile")
    write_report(make_claims([analysis], []), [analysis], tmp_path)
    assert "grouped by output (a³ + ab)" in Page(read(tmp_path)).words()


def test_interactive_plots_are_the_same_each_time(analyses):
    runs = {"add": analyses[1]}
    assert interactive_training(runs) == interactive_training(runs)


def test_rows_of_mixed_shape_share_one_table(tmp_path):
    pairs = fake_row("add", "r", statistic="share:sum", grouping=None, direction=None, top=[(26, 26), (12, 12)])
    claims = make_claims([], []).model_copy(update={"rows": [fake_row("add", "r"), pairs]})
    write_report(claims, [], tmp_path)
    frame = pl.read_csv(tmp_path / "tables" / "claims.csv")
    assert frame["top"].to_list() == ["[26, 12, 25]", "[[26, 26], [12, 12]]"]


def test_verdicts_as_markdown_have_a_line_a_claim(report, claims):
    lines = (report / "tables" / "verdicts.md").read_text().splitlines()
    assert len(lines) == 2 + len(claims.verdicts)
    for line, verdict in zip(lines[2:], claims.verdicts, strict=True):
        assert line.startswith(f"| {verdict.claim} | ")
        assert line.count("|") - line.count("\\|") == 6


def test_figures_take_their_p_values_from_the_judged_table():
    analysis = make_analysis("add")
    judged = [
        row.model_copy(update={"null": row.null.model_copy(update={"pvalue_adjusted": 0.77})}) for row in analysis.rows
    ]
    claims = make_claims([analysis]).model_copy(update={"rows": judged})
    assert {row.null.pvalue_adjusted for row in _judged(analysis, claims).rows} == {0.77}
