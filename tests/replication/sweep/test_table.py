import sys

import pandas
import polars
import pytest

import spectral_edge as se
from spectral_edge.statistics import mean_interval
from spectral_edge.subjects import run_folder, train_run
from support.tiny_runs import tiny

# An accuracy that every model reaches stands for one that groks, one that none reaches for one that does not.
RUNS = [
    *(tiny("add", seed=seed, stop_accuracy=1e-9, weight_decay=1.0) for seed in (1, 2, 3)),
    tiny("add", seed=1, weight_decay=0.0),
    tiny("add", seed=2, weight_decay=0.0),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("table")
    for run in RUNS:
        train_run(run_folder(root, run), run)
    return root


def test_there_is_a_row_a_run_with_its_configuration_and_its_numbers(root):
    (root / "runs" / "notes").mkdir(exist_ok=True)
    table = se.sweep_table(root)
    assert repr(table) == "SweepTable(5 runs, 5 finished, 1 skipped)"
    assert [state.run_id for state in table.skipped] == ["notes"]
    row = next(row for row in table.rows if row["run_id"] == RUNS[0].run_id)
    directory, _ = se.subjects.open_run(run_folder(root, RUNS[0]))
    last = directory.metrics()[-1]
    assert {name: row[name] for name in ("test_loss", "train_loss", "test_accuracy", "train_accuracy")} == {
        name: last[name] for name in ("test_loss", "train_loss", "test_accuracy", "train_accuracy")
    }
    assert row["sigma_ratio"] == last["singular_values"][0] / last["singular_values"][1]
    assert (row["steps"], row["stop_step"], row["window"], row["p"]) == (last["step"], last["step"], 4, 13)
    assert row["grok_step"] == last["step"] - 2 * 5
    assert row["path"] == str(run_folder(root, RUNS[0]))
    assert table.axes == ["operation", "weight_decay", "stop_accuracy", "seed"]


def test_seeds_are_taken_together_and_runs_that_never_grok_are_counted(root):
    table = se.sweep_table(root).over_seeds()
    grokked, not_grokked = sorted(table.rows, key=lambda row: -row["weight_decay"])
    assert (grokked["runs"], grokked["finished"], grokked["grokked"]) == (3, 3, 3)
    assert (not_grokked["runs"], not_grokked["finished"], not_grokked["grokked"]) == (2, 2, 0)
    assert not_grokked["grok_step"] is not_grokked["grok_step_low"] is None
    losses = [row["test_loss"] for row in se.sweep_table(root).rows if row["weight_decay"] == 1.0]
    assert grokked["test_loss"] == pytest.approx(sum(losses) / 3)
    assert (grokked["test_loss_low"], grokked["test_loss_high"]) == mean_interval(losses)
    assert "seed" not in grokked


def test_frames_and_files_hold_the_same(root, tmp_path):
    table = se.sweep_table(root)
    assert table.to_polars().height == 5
    table.write(tmp_path / "new" / "runs.parquet")
    table.write(tmp_path / "runs.csv")
    assert polars.read_parquet(tmp_path / "new" / "runs.parquet").equals(table.to_polars())
    assert polars.read_csv(tmp_path / "runs.csv")["run_id"].to_list() == [row["run_id"] for row in table.rows]
    with pytest.raises(ValueError, match=r"runs.txt: a table is written as .parquet or .csv"):
        table.write(tmp_path / "runs.txt")


def test_in_pandas_seeds_are_a_level_and_what_is_missing_is_missing(root):
    frame = se.sweep_table(root).to_pandas()
    assert frame.index.names == ["operation", "weight_decay", "stop_accuracy", "seed"]
    assert str(frame["grok_step"].dtype) == "Int64"
    wide = frame["grok_step"].unstack("seed")
    assert wide.columns.to_list() == [1, 2, 3]
    assert wide.loc[("add", 0.0)].isna().all(axis=None)
    assert wide.loc[("add", 1.0)].notna().all(axis=None)
    assert se.sweep_table(root).over_seeds().to_pandas().index.names == ["operation", "weight_decay", "stop_accuracy"]
    assert isinstance(frame, pandas.DataFrame)


def test_without_pandas_the_remedy_is_named(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'spectral-edge\[pandas\]'"):
        se.sweep_table(root).to_pandas()


def test_an_empty_directory_gives_an_empty_table(tmp_path):
    table = se.sweep_table(tmp_path)
    assert repr(table) == "SweepTable(0 runs, 0 finished, 0 skipped)"
    assert table.over_seeds().to_polars().is_empty()
    assert table.axes == []
