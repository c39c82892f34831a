"""The site builds without a warning, and has what it promises."""

import re
import sys

import pytest

from pages import ROOT, run_elsewhere
from spectral_edge.store import read_claims

pytest.importorskip("sphinx", reason="the site needs the extra [docs]")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site. Warnings are errors, nitpicky; notebooks are executed."""
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b", "html", "-d", out / "doctrees"]
    run_elsewhere([*map(str, build), str(ROOT / "docs"), str(out / "html")], ROOT)
    return out / "html"


def text_of(page):
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_there_is_a_page_for_each_claim_with_its_verdict_and_figures(site):
    claims = read_claims(ROOT / "results" / "paper" / "claims.json")
    assert len(claims.verdicts) == 14
    for verdict in claims.verdicts:
        page = site / "claims" / f"{verdict.claim}.html"
        assert f"{verdict.claim}. " in text_of(page)
        for figure in (ROOT / "results" / "paper" / "figures").glob(f"*_{verdict.claim}.png"):
            assert figure.name in page.read_text()
            assert (site / "_images" / figure.name).read_bytes() == figure.read_bytes()


def test_every_public_name_is_in_the_reference(site):
    import inspect

    import spectral_edge as se

    index = (site / "api" / "index.html").read_text()
    public = [name for name in se.__all__ if not inspect.ismodule(getattr(se, name))]
    assert [name for name in public if not re.search(rf'href="\w+\.html#spectral_edge\.\w+\.{name}"', index)] == []


def test_nothing_is_fetched_from_elsewhere(site):
    loaded = re.compile(r"""<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="(?:https?:)?//[^"]+""")
    assert [page.name for page in site.rglob("*.html") if loaded.search(page.read_text(encoding="utf-8"))] == []


def test_mathematics_is_drawn_by_the_browser(site):
    page = (site / "mathematics.html").read_text(encoding="utf-8")
    assert page.count('display="block"') == (ROOT / "docs" / "mathematics.md").read_text().count("$$") // 2 > 10
    assert "MathJax" not in page


def test_notebooks_show_what_was_computed(site):
    for name in ("what_is_my_model_moving_along", "is_it_special"):
        page = (site / "notebooks" / f"{name}.html").read_text()
        assert page.count("<img alt=") >= 2
        assert "test accuracy 1.000" in page
