"""The generated record: what it says, that nothing in it acts as markup, and how the file around it is kept."""

from __future__ import annotations

import re

import pytest

from spectral_edge.report import findings_id, findings_markdown, update_findings
from spectral_edge.report.markdown import code, escape
from spectral_edge.store.results import Verdict
from support.many_seeds import make_verdicts
from support.synthetic import fake_row, make_claims

HOSTILE = (
    "<script>alert('x')</script> | [a](http://x) ![i](y) `c` *b* _u_ <!-- end of generated: a -->\n# h\n\n* &lt; $x$"
)


def test_record_names_command_commit_and_machine(many):
    text = findings_markdown(many[0], date="2026-11-24", command="make all")
    assert text.startswith("## 2026-11-24: 12 runs, paper profile\n")
    assert "* Command: `make all`\n" in text
    assert "* Commit: `0123456789abcdef0123`\n" in text
    assert "A processor" in text


def test_the_date_is_never_made_up(many):
    claims = many[0]
    assert findings_markdown(claims).startswith("## 12 runs, paper profile\n")
    dated = claims.model_copy(update={"environment": claims.environment | {"date": "2026-01-02"}})
    assert findings_markdown(dated).startswith("## 2026-01-02: ")
    assert "`spectral-edge reproduce --profile paper --out DIR`" in findings_markdown(claims)


def test_every_claim_has_its_headline_numbers(many):
    claims, _ = many
    text = findings_markdown(claims)
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert [section.partition(":")[0] for section in sections] == [f"C{k}" for k in range(1, 15)]
    row = next(r for r in claims.rows if (r.claim, r.direction, r.checkpoint) == ("C6", "v1", "stop"))
    number = f"{row.measured:#.3g} (n = 3, 95 % interval {row.interval.low:#.3g} to {row.interval.high:#.3g})"
    assert f"* add, concentration F of v1, at the stop: {number}; published 0.330; ω 26, 26, 26 (published 26)" in text
    assert f"null of random directions (200 draws) {row.null.mean:#.3g}, 95 % {row.null.quantile95:#.3g}; p = " in text


def test_tables_have_whole_lines(many):
    tables = [line for line in findings_markdown(many[0]).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {9, 5}


def test_hostile_text_is_text():
    verdict = Verdict(claim=HOSTILE, statement=HOSTILE, reproduces=True, survives_null=True, because=HOSTILE)
    row = fake_row(HOSTILE, HOSTILE, claim=HOSTILE, direction=HOSTILE, statistic=HOSTILE, grouping=HOSTILE)
    claims = make_claims([], [verdict]).model_copy(
        update={"rows": [row], "profile": HOSTILE, "environment": {"git_commit": HOSTILE, "cpu": HOSTILE}}
    )
    text = findings_markdown(claims, date=HOSTILE)
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)<[A-Za-z/!]", outside_code)
    assert not re.search(r"(?<!\\)\]\(", outside_code)
    assert not re.search(r"^# h", text, re.MULTILINE)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", findings_id(claims))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x2_y2 v1+v2", "x2_y2 v1+v2"),
        ("_a_ *b*", r"\_a\_ \*b\*"),
        ("a | b", r"a \| b"),
        ("p < 0.05", "p < 0.05"),
        ("<b>", r"\<b>"),
        ("# head", r"\# head"),
        ("1. item", r"1\. item"),
        ("&amp; & co", r"\&amp; & co"),
        ("two\nlines", "two lines"),
    ],
)
def test_escape(text, shown):
    assert escape(text) == shown


def test_code_spans_outlast_backticks():
    assert code("a") == "`a`"
    assert code("a `` b") == "``` a `` b ```"


def test_sections_are_put_on_top_and_replaced_in_place(tmp_path):
    path = tmp_path / "findings.md"
    path.write_text("# Findings\n\nIntroduction.\n\n## By hand\n\nOld words.\n")
    update_findings(path, "one", "## First\n\nnumbers 1")
    update_findings(path, "two", "## Second\n\nnumbers 2")
    both = path.read_text()
    assert both.index("Introduction.") < both.index("## Second") < both.index("## First") < both.index("## By hand")
    comment = "A comment on the first.\n\n## By hand"
    path.write_text(both.replace("## By hand", comment))
    update_findings(path, "one", "## First\n\nnumbers 3")
    after = path.read_text()
    assert "numbers 1" not in after
    assert after == both.replace("numbers 1", "numbers 3").replace(
        "## By hand", "A comment on the first.\n\n## By hand"
    )
    update_findings(path, "one", "## First\n\nnumbers 3")
    assert path.read_text() == after


def test_a_missing_file_is_begun(tmp_path):
    update_findings(tmp_path / "new.md", "one", "## First\n")
    assert (tmp_path / "new.md").read_text() == (
        "# Findings\n\n<!-- generated: one -->\n## First\n<!-- end of generated: one -->\n"
    )


@pytest.mark.parametrize(
    "content",
    ["<!-- generated: one -->\n", "<!-- end of generated: one -->\n<!-- generated: one -->\n",
     "<!-- generated: one -->\n<!-- end of generated: one -->\n" * 2],
)  # fmt: skip
def test_unpaired_markers_are_left_alone(tmp_path, content):
    path = tmp_path / "findings.md"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"findings\.md.*must each stand there once"):
        update_findings(path, "one", "text")
    assert path.read_text() == content


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("a b", "x", "name is letters"), ("one", "<!-- generated: two -->", "marker")],
)
def test_names_and_texts_that_would_break_the_file(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        update_findings(tmp_path / "findings.md", name, text)
    assert not (tmp_path / "findings.md").exists()


def test_a_claim_without_numbers_says_so():
    assert "No numbers are stored." in findings_markdown(make_claims([], make_verdicts()[:1]))
