"""Both programs run as they are and leave a page of their own held-out text."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("example", "tokens", "printed"),
    [
        ("tokens_trainer.py", 32 * 63, "TokenModes(k=3, sequences=32, predictions=63, method='jvp')"),
        ("tokens_plain.py", 32 * 64, "displacement+edge"),
    ],
)
def test_an_example_ends_in_a_page_of_tokens(example, tokens, printed, tmp_path):
    assert len((EXAMPLES / example).read_text().splitlines()) <= 60
    done = subprocess.run(
        [sys.executable, EXAMPLES / example], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert printed in done.stdout
    page = (tmp_path / "tokens.html").read_text()
    assert page.count("<span") >= tokens
