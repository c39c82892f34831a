"""A sweep with runs that fail, from the command line."""

import json

from spectral_edge.cli import main
from support.sweeping import tiny_spec, written


def test_a_machine_without_slurm_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")  # also on a cluster
    spec = written(tiny_spec(runs=[{}]), tmp_path / "spec.json")
    assert main(["sweep", str(spec), "--engine", "slurm", "--out", str(tmp_path / "out")]) == 1
    assert "there is no Slurm here" in capsys.readouterr().err


def test_runs_that_failed_are_named_after_the_others_have_finished(tmp_path, capsys):
    spec = written(tiny_spec(runs=[{"learning_rate": 1e30}, {"seed": 2}]), tmp_path / "spec.json")
    assert main(["sweep", str(spec), "--out", str(tmp_path / "out"), "--jobs", "1", "--json"]) == 1
    printed = capsys.readouterr()
    assert [run["state"] for run in json.loads(printed.out)["runs"]] == ["failed", "finished"]
    assert "1 of 2 runs failed; the others are finished." in printed.err
    assert "lower the learning rate" in printed.err
