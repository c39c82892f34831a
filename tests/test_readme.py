import re
import runpy
from pathlib import Path

from spectral_edge.report import findings_markdown
from spectral_edge.report.markdown import verdicts_table
from spectral_edge.store import read_claims

README = Path(__file__).parents[1] / "README.md"


def test_every_python_example_runs(tmp_path, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)
    assert blocks
    for i, block in enumerate(blocks):
        script = tmp_path / f"example_{i}.py"
        script.write_text(block)
        runpy.run_path(str(script))
    assert "FourierProfile" in capsys.readouterr().out


def test_pictures_and_files_it_links_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (README.parent / link).exists()] == []


def test_the_table_of_findings_is_that_of_the_committed_results():
    claims = read_claims(README.parent / "results" / "paper" / "claims.json")
    assert verdicts_table(claims.verdicts, because=False) in README.read_text()
    assert len(claims.verdicts) == 14


def test_the_record_of_findings_is_generated_from_the_committed_results():
    claims = read_claims(README.parent / "results" / "paper" / "claims.json")
    record = (README.parent / "docs" / "findings.md").read_text()
    generated = findings_markdown(claims)
    body = generated[generated.index("\n") :].rstrip()  # the heading has the day
    assert body in record


def test_what_it_says_of_principal_components_is_what_was_measured():
    """Further than any of 200 random directions: p = 1/201, in three operations, three seeds, two components."""
    rows = read_claims(README.parent / "results" / "paper" / "claims.json").rows
    found = [
        row.null.pvalue
        for row in rows
        if row.statistic == "variance_share"
        and row.checkpoint == "stop"
        and row.direction in ("v1:PC1", "v1:PC2")
        and (row.task, row.grouping) in (("add", "sum"), ("sub", "difference"), ("mul", "discrete_log"))
        and row.seed is not None
    ]
    assert found == [1 / 201] * 18
