"""The diffs on the page about extending fit the source; ``check_extending_page.py`` runs what they add."""

from support.pages import ROOT, apply_diffs


def test_every_diff_applies(tmp_path):
    assert apply_diffs(ROOT / "docs" / "extending.md", tmp_path)
