"""The quickstart at its own size."""

from support.pages import ROOT, blocks, run_shell


def test_the_quickstart_leads_to_an_edge(tmp_path):
    install, *commands = blocks(ROOT / "docs" / "quickstart.md", "bash")
    assert install == "pip install '.[serve]'\n"  # tests/check_wheel.py installs
    trained, analysed, reported = (run_shell(code, tmp_path) for code in commands)
    assert "\ngrokked at step " in trained
    for number in (
        "C6   stop       v1             concentration    sum",
        "C6   stop       v1:PC1         variance_share",
    ):
        assert number in analysed
    assert reported.strip().endswith("report.html")
