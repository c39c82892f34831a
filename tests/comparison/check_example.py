"""The example on the real GPT-2: from watch to the table in at most 40 lines."""

import subprocess
import sys

from support.pages import ROOT

EXAMPLE = ROOT / "examples" / "is_it_special.py"


def test_the_example_compares_a_gpt2_in_forty_lines(tmp_path):
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    done = subprocess.run(
        [sys.executable, EXAMPLE], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("isotropic", "span", "weights", "blocks", "size", "rank"):
        assert name in done.stdout
    assert (tmp_path / "is_it_special.png").stat().st_size > 5_000
