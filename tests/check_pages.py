"""The quickstart at its own size."""

import json
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


def test_what_is_discovered_in_the_quickstarts_run_depends_on_the_stride(tmp_path, monkeypatch):
    """As docs/discovery.md warns; the run is that of the quickstart."""
    portable = portable_settings()
    if not portable:
        pytest.skip("elsewhere it is another model")
    for name, value in portable.items():
        monkeypatch.setenv(name, value)
    run_shell(blocks(PAGE, "bash")[1], tmp_path)
    found = {}
    for options in ("--stride 10", "--stride 20", "--stride 50", "--stride 100", "--stride 10 --source logits"):
        said = json.loads(run_shell(f"spectral-edge discover runs/mine/runs/add-s42-* {options} --json", tmp_path))
        found[options.removeprefix("--stride ")] = (said["answer"], said["group"])
    warned = " ".join((ROOT / "docs" / "discovery.md").read_text().split())
    assert found == {
        "10": ("difference", None), "20": ("sum", "Z_23"), "50": ("sum", None), "100": ("sum", "Z_23"),
        "10 --source logits": ("sum", "Z_23"),
    }  # fmt: skip
    assert "edges of stride 20 and 100 give *sum* and Z_23, of stride 50 *sum* and no law" in warned
    assert "of stride 10 *difference* and no law (p = 0.01), and the logits *sum* and Z_23" in warned
