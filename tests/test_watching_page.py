"""What the page about watching says of its settings."""

import inspect
from pathlib import Path

import spectral_edge as se

DOCS = Path(__file__).parents[1] / "docs"


def test_every_setting_is_on_the_page():
    page = (DOCS / "watching.md").read_text()
    settings = set(inspect.signature(se.watch).parameters) - {"model", "optimizer", "verbose", "sketch_size"}
    assert [name for name in settings if f"`{name}" not in page] == []
