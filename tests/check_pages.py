"""The quickstart at its own size."""

import re

from support.pages import ROOT, blocks, run_shell


def test_the_quickstart_leads_to_an_edge(tmp_path):
    install, *commands = blocks(ROOT / "docs" / "quickstart.md", "bash")
    assert install == "pip install '.[serve]'\n"  # tests/check_wheel.py installs
    trained, analysed, reported = (run_shell(code, tmp_path) for code in commands)
    assert "\ngrokked at step " in trained
    page = " ".join((ROOT / "docs" / "quickstart.md").read_text().split())
    for row, said in (
        ("v1 +concentration", "F was {} and p was {}"),
        ("v1:PC1 +variance_share", "was {} with p = {},"),
    ):
        value, p = re.search(rf"C6 +stop +{row} +sum +(\S+) .* p (\S+)", analysed).groups()
        assert said.format(f"{float(value):.2f}", f"{float(p):.2g}") in page
    assert reported.strip().endswith("report.html")
