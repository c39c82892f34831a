"""The site builds without a warning, and has what it promises."""

import copy
import html
import inspect
import json
import re
import sys

import nbformat
import pytest
from nbclient import NotebookClient

import spectral_edge as se
from spectral_edge.report import effect_lines
from spectral_edge.store import Claims
from support.pages import ROOT, run_elsewhere

SIGNS = {"yes": "✓ yes", "no": "✗ no", "undecided": "? undecided", None: "—"}


def test_the_site_builds_without_a_warning_and_has_what_it_promises(tmp_path):
    """One build for all checks. Warnings are errors, references are checked."""
    build = f"-m sphinx -n -W --keep-going -q -b html -d {tmp_path / 'doctrees'} {ROOT / 'docs'} {tmp_path / 'html'}"
    run_elsewhere([sys.executable, *build.split()], ROOT)
    for check in (
        a_page_for_each_claim_with_its_answers_and_effects,
        every_public_name_is_in_the_reference,
        nothing_is_fetched_from_elsewhere,
        mathematics_is_drawn_by_the_browser,
        notebooks_show_what_was_computed,
    ):
        check(tmp_path / "html")


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_still_run(path):
    """The site shows what is committed; here the code of each cell runs, and prints what it printed, digits aside."""
    committed = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    executed = NotebookClient(copy.deepcopy(committed), timeout=600, resources=resources).execute()
    for before, after in zip(committed.cells, executed.cells, strict=True):
        kinds = [{output.output_type for output in cell.get("outputs", [])} for cell in (before, after)]
        assert kinds[0] == kinds[1], before.source


def text_of(page):
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def a_page_for_each_claim_with_its_answers_and_effects(site):
    claims = Claims.read(ROOT / "results" / "decision" / "claims.json")
    assert len(claims.answers) == 14
    for answer in claims.answers:
        said = text_of(site / "claims" / f"{answer.claim}.html")
        words = [SIGNS[value] for value in (answer.reproduces, answer.exists, answer.specific)]
        assert f"{answer.claim}. " in said
        assert "Reproduces: {}. Exists: {}. Specific: {}.".format(*words) in said
        for line in effect_lines(answer):
            assert line.effect in said


def every_public_name_is_in_the_reference(site):
    index = (site / "api" / "index.html").read_text()
    public = [name for name in se.__all__ if not inspect.ismodule(getattr(se, name))]
    assert [name for name in public if not re.search(rf'href="\w+\.html#spectral_edge\.\w+\.{name}"', index)] == []


def nothing_is_fetched_from_elsewhere(site):
    loaded = re.compile(r"""<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="(?:https?:)?//[^"]+""")
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert len(pages) > 30
    assert [page for page, text in pages.items() if loaded.search(text)] == []


def mathematics_is_drawn_by_the_browser(site):
    page = (site / "mathematics.html").read_text(encoding="utf-8")
    assert page.count('display="block"') == (ROOT / "docs" / "mathematics.md").read_text().count("$$") // 2 > 10
    assert "MathJax" not in page


def notebooks_show_what_was_computed(site):
    for name in ("what_is_my_model_moving_along", "is_it_special"):
        page = (site / "notebooks" / f"{name}.html").read_text()
        assert page.count("<img alt=") >= 2
        cells = json.loads((ROOT / "docs" / "notebooks" / f"{name}.ipynb").read_text())["cells"]
        (first,) = ["".join(o["text"]) for cell in cells for o in cell.get("outputs", []) if "text" in o][:1]
        assert html.escape(first.splitlines()[0], quote=False) in page
