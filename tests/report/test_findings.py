"""The generated record: what it says, that nothing in it acts as markup, and how the file around it is kept."""

from __future__ import annotations

import re

import pytest

from spectral_edge.report import findings_id, findings_markdown, update_findings
from spectral_edge.report.markdown import code, escape
from support.synthetic import ANSWERS, make_answer, make_claims, make_numbers

HOSTILE = (
    "<script>alert('x')</script> | [a](http://x) ![i](y) `c` *b* _u_ <!-- end of generated: a -->\n# h\n\n* &lt; $x$"
)


def test_record_names_command_commit_and_machine(many):
    text = findings_markdown(make_claims(), many[0], date="2026-11-24")
    assert text.startswith("## 2026-11-24: 12 runs, paper profile\n")
    assert "* Command: `spectral-edge reproduce --profile paper --out DIR`" in text
    assert "* Commit: `0123456789abcdef0123`\n" in text
    assert "A processor" in text


def test_the_date_is_never_made_up(many):
    assert findings_markdown(None, many[0]).startswith("## 12 runs, paper profile\n")


def test_every_answer_stands_there_with_its_reasons(many):
    text = findings_markdown(make_claims(), many[0])
    for answer in ANSWERS:
        assert f"* {answer.claim}: {escape(answer.because)}" in text
    assert "Special to the edge. 1 claim" in text


def test_tables_have_whole_lines(many):
    tables = [line for line in findings_markdown(make_claims(), many[0]).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {9, 10}


def test_hostile_text_is_text():
    numbers = make_numbers([]).model_copy(
        update={"profile": HOSTILE, "environment": {"git_commit": HOSTILE, "cpu": HOSTILE}}
    )
    claims = make_claims([make_answer(HOSTILE, HOSTILE, because=HOSTILE, unit=HOSTILE, strongest_null=HOSTILE)])
    text = findings_markdown(claims, numbers, date=HOSTILE)
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)<[A-Za-z/!]", outside_code)
    assert not re.search(r"(?<!\\)\]\(", outside_code)
    assert not re.search(r"^# h", text, re.MULTILINE)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", findings_id(numbers))


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
