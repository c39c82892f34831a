"""A run with a missing or damaged file is refused by the name of that file, whatever reads it."""

import json
import shutil

import pytest

from spectral_edge.cli import main
from spectral_edge.store import RunCorruptError
from spectral_edge.subjects.trained_run import TrainedRun


def missing(file):
    file.unlink()


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def altered(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


FILES = ("config.json", "index.jsonl", "metrics.jsonl", "trajectory/step_00000060.safetensors")


@pytest.fixture
def run(trained, tmp_path):
    """A run that nothing has analysed: what is stored would be read in place of the damaged file."""
    return shutil.copytree(trained["add"], tmp_path / "run", ignore=shutil.ignore_patterns("analysis-*"))


@pytest.mark.parametrize("name", ["index.jsonl", "metrics.jsonl"])
def test_a_finished_run_without_a_list_is_damaged_and_the_list_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(RunCorruptError, match=name):
        TrainedRun.open(run)


def test_a_run_in_training_without_its_index_is_damaged_too(run):
    (run / "status.json").unlink()
    (run / "index.jsonl").unlink()
    with pytest.raises(RunCorruptError, match=r"index\.jsonl"):
        TrainedRun.open(run)


@pytest.mark.parametrize("damage", [missing, cut, altered])
@pytest.mark.parametrize("name", FILES)
def test_analyze_ends_with_one_line_that_names_the_file(run, capsys, name, damage):
    damage(run / name)
    window = ["--window", "9", "--stride", "5", "--random-directions", "20", "--permutations", "20"]
    assert main(["analyze", str(run), *window]) == 1
    said = capsys.readouterr().err
    assert name in said
    assert len([line for line in said.splitlines() if line.startswith("spectral-edge:")]) == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(("field", "value"), [("d_model", 4_000_000), ("d_mlp", 10**12), ("p", 2000)])
def test_a_configuration_of_another_size_is_refused_before_its_memory_is_asked_for(run, field, value):
    config = json.loads((run / "config.json").read_text())
    config["config"]["training"][field] = value
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunCorruptError, match=r"does not fit its config\.json: [\w.]+ has shape \("):
        TrainedRun.open(run).model_at(60)


def test_a_modulus_whose_pairs_fill_the_memory_is_refused(run, capsys):
    config = json.loads((run / "config.json").read_text())
    config["config"]["training"]["p"] = 10**9
    (run / "config.json").write_text(json.dumps(config))
    assert main(["compare", str(run), "--step", "60", "--draws", "2"]) == 1
    said = capsys.readouterr().err
    assert "less than or equal to 2000" in said
    assert "Traceback" not in said
