"""Commands that gather the evidence of many runs, on tiny ones."""

import json
from pathlib import Path

from spectral_edge.cli import experiment, main
from support.planted_copies import planted_rounding
from support.planted_warnings import planted_second, planted_sweep
from support.tiny_runs import TINY, tiny

TRAIN = ["train", "--operation", "add"] + [
    word for key, value in TINY.items() for word in (f"--{key.replace('_', '-')}", str(value))
]
ANALYZE = ["--window", "9", "--stride", "5", "--random-directions", "20", "--permutations", "20"]


def test_the_evidence_writes_points_page_and_record(tmp_path, monkeypatch, capsys):
    runs = [tiny("add.renamed1"), tiny("random_table")]
    monkeypatch.setattr(experiment, "discovery_runs", lambda *_: runs)
    record = tmp_path / "findings.md"
    arguments = ["experiment", "discovery", "--out", str(tmp_path), *ANALYZE, "--findings", str(record), "--json"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["points"]) == 8
    page = Path(printed["report"]).read_text()
    assert page.count("<section>") == 8
    assert page.count("<figure") == 2
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (tmp_path / "tables" / "point_1.csv").read_text().startswith("operation,")
    assert "NAME=discovery" in record.read_text()


def test_early_warning_writes_results_tables_figures_and_record(tmp_path, monkeypatch, capsys):
    sets = {"paper": planted_sweep(), "discovery": planted_second()}
    asked = {}

    def watch(paths, config, say):
        (root,) = {path.parent.parent.name for path in paths}
        asked[root] = len(paths)
        return sets[root]

    monkeypatch.setattr(experiment, "watch_runs", watch)
    record = tmp_path / "findings.md"
    out = tmp_path / "new" / "folder"
    assert main(["experiment", "early-warning", "--out", str(out), "--findings", str(record), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert asked == {"paper": 36, "discovery": 60}
    assert printed["rows"][0]["statistic"] == "test_loss_fall"
    assert (out / "early_warning.json").exists()
    assert (out / "figures" / "early_warning_leads.png").stat().st_size > 10_000
    assert (out / "tables" / "early_warning_1.csv").read_text().startswith("runs,")
    assert "<!-- generated: early-warning -->" in record.read_text()


def test_rounding_writes_results_tables_figure_and_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "compare_copies", lambda *_: planted_rounding())
    record = tmp_path / "findings.md"
    assert main(["experiment", "rounding", "--out", str(tmp_path), "--findings", str(record), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["points"]) == 4
    assert (tmp_path / "figures" / "rounding.png").stat().st_size > 10_000
    assert (tmp_path / "tables" / "rounding_4.csv").read_text().startswith("operation,the paper")
    assert "<!-- generated: rounding -->" in record.read_text()
