from pathlib import Path

from spectral_edge.experiments.discovery import seven_points
from spectral_edge.report import discoveries_markdown, findings_markdown
from spectral_edge.report.markdown import verdicts_table
from spectral_edge.store import Claims, Discoveries

README = Path(__file__).parents[1] / "README.md"


def test_the_table_of_findings_is_that_of_the_committed_results():
    claims = Claims.read(README.parent / "results" / "paper" / "claims.json")
    assert verdicts_table(claims.verdicts, because=False) in README.read_text()
    assert len(claims.verdicts) == 14


def test_the_record_of_findings_is_generated_from_the_committed_results():
    claims = Claims.read(README.parent / "results" / "paper" / "claims.json")
    record = (README.parent / "docs" / "findings.md").read_text()
    generated = findings_markdown(claims)
    body = generated[generated.index("\n") :].rstrip()  # the heading has the day
    assert body in record


def test_what_it_says_of_principal_components_is_what_was_measured():
    """Further than any of 200 random directions, p = 1/201: three operations, three seeds, two components; but once."""
    rows = Claims.read(README.parent / "results" / "paper" / "claims.json").rows
    found = [
        row.null.pvalue
        for row in rows
        if row.statistic == "variance_share"
        and row.checkpoint == "stop"
        and row.direction in ("v1:PC1", "v1:PC2")
        and (row.task, row.grouping) in (("add", "sum"), ("sub", "difference"), ("mul", "discrete_log"))
        and row.seed is not None
    ]
    assert sorted(found)[:17] == [1 / 201] * 17
    text = " ".join(README.read_text().split())
    assert f"17 of {len(found)}" in text
    assert f"{max(found):.4f}" in text


def test_the_counts_of_discovery_are_those_of_the_committed_results():
    rows = Discoveries.read(README.parent / "results" / "discovery" / "discoveries.json").rows
    renamed = [row for row in rows if row.renaming is not None]
    text = " ".join(README.read_text().split())
    for source in ("edge", "random", "logits"):
        found = [row.recovered for row in renamed if row.source == source]
        assert len(found) == 45
        assert f"{sum(found)} of 45" in text
    others = [row for row in rows if row.operation in ("symmetric", "dihedral", "velocity") and row.source == "edge"]
    assert f"{sum(row.recovered for row in others)} of {len(others)} models" in text
    nothing = [row[1].split(" [")[0].split(" of ") for row in seven_points(rows)[3].rows[1:]]  # shuffles test nothing
    hits, cases = (sum(int(count[i]) for count in nothing) for i in (0, 1))
    assert f"{hits} of {cases}" in text


def test_the_record_of_discovery_is_generated_from_the_committed_results():
    found = Discoveries.read(README.parent / "results" / "discovery" / "discoveries.json")
    record = (README.parent / "docs" / "findings.md").read_text()
    generated = discoveries_markdown(seven_points(found.rows), found.environment.get("git_commit"), "day")
    assert generated[generated.index("\n") :].rstrip() in record
