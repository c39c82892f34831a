"""The quickstart at its own size."""

import re

import pytest

from spectral_edge.arithmetic import portable_settings
from support.pages import ROOT, blocks, run_shell

PAGE = ROOT / "docs" / "quickstart.md"
SAID = {
    "v1 +concentration": r"In our run F was (\S+) and p was (\S+):",
    "v1:PC1 +variance_share": r"was (\S+) with p = (\S+), the smallest",
}


def test_the_quickstart_leads_to_an_edge(tmp_path, monkeypatch):
    portable = portable_settings()
    for name, value in portable.items():  # the arithmetic of the page's run, whatever is asked of other tests
        monkeypatch.setenv(name, value)
    install, *commands = blocks(PAGE, "bash")
    assert install == "pip install '.[serve]'\n"  # tests/check_wheel.py installs
    trained, analysed, reported = (run_shell(code, tmp_path) for code in commands)
    assert "\ngrokked; ended at step " in trained
    page = " ".join(PAGE.read_text().split())
    for row, said in SAID.items():
        found = re.search(rf"C6 +stop +{row} +sum +\w+ +(\S+) .* p (\S+)", analysed)
        if portable:  # elsewhere it is another model
            assert [float(number) for number in found.groups()] == pytest.approx(
                [float(number) for number in re.search(said, page).groups()], abs=0.011
            )
        else:
            assert found
    assert reported.strip().endswith("report.html")
