"""Code on the pages about watching runs, and their links lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_every_python_block_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "watching.md").read_text(), flags=re.S)
    assert len(blocks) == 3
    for i, block in enumerate(blocks):
        script = tmp_path / f"block_{i}.py"
        script.write_text(block)
        runpy.run_path(str(script))
    said = capsys.readouterr()
    assert "torch.Size([3, 100])" in said.out
    assert "[10, 20, 30, 40]" in said.out
    assert "recording 384 parameters in 2 tensors" in said.err


@pytest.mark.parametrize("page", ["watching.md", "pitfalls.md"])
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text()) if "://" not in link]
    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_every_setting_is_on_the_page():
    import inspect

    import spectral_edge as se

    page = (DOCS / "watching.md").read_text()
    settings = set(inspect.signature(se.watch).parameters) - {"model", "optimizer", "verbose", "sketch_size"}
    assert [name for name in settings if f"`{name}" not in page] == []
