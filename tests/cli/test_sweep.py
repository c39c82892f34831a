import json
import sys

import polars
import pytest

from spectral_edge.cli import main
from support.sweeping import tiny_spec, written


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    spec = written(tiny_spec(grid={"operation": ["add"], "seed": [1, 2]}), folder / "spec.json")
    assert main(["sweep", str(spec), "--out", str(folder / "out"), "--jobs", "1", "--quiet"]) == 0
    return spec, folder / "out"


def test_sweep_status_and_table_speak_json(swept, tmp_path, capsys):
    spec, out = swept
    capsys.readouterr()
    assert main(["sweep", str(spec), "--out", str(out), "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [(run["state"], run["computed"]) for run in runs] == [("finished", False)] * 2
    assert main(["sweep", "status", str(out), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["counts"] == {"finished": 2}
    assert status["runs"][0]["step"] == 60
    table = tmp_path / "runs.parquet"
    assert main(["sweep", "table", str(out), "--out", str(table), "--over-seeds", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"table": str(table), "rows": 1, "skipped": []}
    assert polars.read_parquet(table)["runs"].to_list() == [2]


def test_progress_and_status_are_lines(swept, capsys):
    spec, out = swept
    assert main(["sweep", "run", str(spec), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 ended: add-s2-" in printed
    assert "2 of 2 runs finished, 0 failed" in printed
    assert main(["sweep", "status", str(out)]) == 0
    assert "step 60 of at most 60\n2 finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["sweep", "status", "nowhere"], "nowhere: there is no such directory"),
        (["sweep", "table", "nowhere"], "nowhere: there is no such directory"),
        (["sweep", "SPEC", "--scheduler", "tcp://node1:8786"], "--scheduler belongs to --engine dask"),
        (["sweep", "SPEC", "--engine", "dask", "--scheduler", "tcp://a:1", "--jobs", "2"], "--jobs does not apply"),
        (["sweep", "SPEC", "--jobs", "0"], "--jobs: 0 runs at a time; give at least 1"),
    ],
)
def test_bad_input_is_named_with_status_1_and_nothing_is_written(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")  # also on a cluster
    spec = written(tiny_spec(runs=[{}]), tmp_path / "spec.json")
    assert main([str(spec) if word == "SPEC" else word for word in arguments]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("spectral-edge: ")
    assert not list(tmp_path.rglob("runs/*/*"))


@pytest.mark.parametrize("engine", ["dask", "slurm"])
def test_an_engine_that_is_not_installed_is_named_with_the_remedy(engine, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, f"spectral_edge.engines.{engine}", None)
    spec = written(tiny_spec(runs=[{}]), tmp_path / "spec.json")
    assert main(["sweep", str(spec), "--engine", engine, "--out", str(tmp_path / "out")]) == 1
    assert f"pip install 'spectral-edge[{engine}]'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["sweep", "run"], ["sweep", "status"], ["sweep", "table"], ["sweep"]])
def test_help_teaches_with_an_example(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    assert "Example:  spectral-edge sweep" in capsys.readouterr().out
