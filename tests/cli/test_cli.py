import importlib
import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import spectral_edge as se
from spectral_edge.cli import COMMANDS, main
from support.tiny_runs import TINY

TRAIN = ["train", "--operation", "add"] + [
    word for key, value in TINY.items() for word in (f"--{key.replace('_', '-')}", str(value))
]
ANALYZE = ["--window", "9", "--stride", "5", "--random-directions", "20", "--permutations", "20"]


@pytest.fixture(scope="module")
def run_path(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli")
    assert main([*TRAIN, "--out", str(out), "--quiet"]) == 0
    return next((out / "runs").iterdir())


def test_train_analyze_report_speak_json(run_path, capsys):
    assert main([*TRAIN, "--out", str(run_path.parent.parent), "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["run"] == str(run_path)
    assert trained["step"] == 60
    assert main(["analyze", str(run_path), *ANALYZE, "--json"]) == 0
    analysed = json.loads(capsys.readouterr().out)
    assert {row["claim"] for row in analysed["rows"]} >= {"C3", "C6", "C13"}
    record = run_path / "findings.md"
    assert main(["report", str(run_path), *ANALYZE, "--findings", str(record), "--json"]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert Path(reported["report"]).stat().st_size > 100_000
    assert "## 1 run, custom profile" in record.read_text()


def test_train_prints_progress_unless_quiet(tmp_path, capsys):
    assert main([*TRAIN, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "step     60" in printed
    assert "σ₁/σ₂" in printed
    assert "has not grokked; ended at step 60" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--operation", "x2_y"], "x2_y2"),
        (["train", "--p", "96"], "96"),
        (["train", "--operation", "add", "--frac-train", "0.00001"], "frac_train"),
        (["analyze", "nowhere"], "nowhere"),
        (["report", "nowhere"], "no such directory"),
        (["report", "."], "no run is here"),
        (["reproduce", "--claims", "C6,C99"], "--claims: Value error, C99: no such claim; possible are C1"),
        (["reproduce", "--seeds", "42,x"], "--seeds: 'x' is not an integer"),
        (["reproduce", "--jobs", "0"], "--jobs"),
    ],
)
def test_bad_input_is_one_line_and_status_1(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("spectral-edge: ")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "arguments", [["trian"], ["train", "--seed", "x"], ["train", "--n-heads", "0"], ["train", "--seed", str(2**32)], []]
)
def test_misunderstood_commands_have_status_2(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_the_overview_names_every_command_and_loads_nothing(capsys):
    code = (
        "import sys, spectral_edge.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert not {'torch', 'numpy', 'tyro'} & set(sys.modules)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name, (module, command, _) in COMMANDS.items():
        assert name in shown
        assert getattr(importlib.import_module(f"spectral_edge.cli.{module}"), command).__doc__
    with pytest.raises(SystemExit):
        main(["trian"])
    assert "did you mean train?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "analyze", "report", "reproduce", "experiment"])
def test_help_teaches_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"Example:  spectral-edge {command}" in capsys.readouterr().out


def test_a_run_that_holds_a_pickle_is_refused_without_loading_it(run_path, tmp_path, capsys):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    copy = tmp_path / "copy"
    shutil.copytree(run_path, copy, ignore=shutil.ignore_patterns("analysis-*"))
    for snapshot in (copy / "trajectory").iterdir():
        snapshot.write_bytes(pickle.dumps(Bomb()))
    assert main(["analyze", str(copy), *ANALYZE]) == 1
    assert "step_00000000.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "exploded").exists()


def test_installed_command_and_module_run():
    installed = Path(sys.executable).with_name("spectral-edge")
    for program in ([installed], [sys.executable, "-m", "spectral_edge.cli"]):
        result = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True)
        assert "reproduce" in result.stdout


def test_discover_prints_the_answer_and_draws_it(run_path, tmp_path, capsys):
    assert main(["discover", str(run_path), *ANALYZE, "--source", "logits", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answer"] in ("no structure", "none of these") or found["candidates"][0]["grouping"] == found["answer"]
    assert 0 < found["pvalue"] <= 1
    page = (tmp_path / "discovery.html").read_text()
    assert page.count("<figure") == 1
    assert page.count("<tbody>\n<tr>") == 1
    assert f"Basis discovery: {Path(run_path).name}" in page
    assert (tmp_path / "figures" / "discovery_add-p13-s42-logits.png").stat().st_size > 10_000
    assert main(["discover", str(run_path), *ANALYZE, "--out", str(tmp_path)]) == 0
    assert "answer: " in capsys.readouterr().out


def test_a_window_that_does_not_fit_is_named_beside_one_that_does(run_path, capsys):
    for command in (["analyze"], ["compare", "--checkpoint", "final"]):
        assert main([command[0], str(run_path), *command[1:], "--window", "30", "--stride", "10"]) == 1
        assert "a window of 6 does" in capsys.readouterr().err


def test_discover_on_a_short_run_reads_what_is_there(run_path, tmp_path, capsys):
    assert main(["discover", str(run_path), "--stride", "10", "--out", str(tmp_path)]) == 0  # the window is of 20
    assert "responses at step 60" in capsys.readouterr().out


def test_the_command_that_analyze_prints_draws_what_it_has_analysed(run_path, capsys):
    assert main(["analyze", str(run_path), *ANALYZE, "--no-centered"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    command = shlex.split(last.partition("Draw them: ")[2])
    assert command[:3] == ["spectral-edge", "report", str(run_path)]
    assert main([*command[1:], "--quiet"]) == 0


@pytest.mark.parametrize(("option", "value"), [("--stride", "0"), ("--window", "-3"), ("--window", "1")])
def test_windows_out_of_range_are_refused(run_path, option, value, capsys):
    assert main(["compare", str(run_path), "--step", "60", "--window", "4", "--stride", "5", option, value]) == 1
    said = capsys.readouterr().err
    assert "a spectrum needs 2 updates of a stride of 1 at least" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("jobs", ["0", "-1"])
def test_fewer_jobs_than_one_are_refused(jobs, tmp_path, capsys):
    assert main(["experiment", "rounding", "--jobs", jobs, "--out", str(tmp_path)]) == 1
    assert f"jobs = {jobs}" in capsys.readouterr().err


def test_report_of_a_run_that_is_not_analysed_says_how(run_path, tmp_path, capsys):
    copy = tmp_path / "runs" / "copy"
    shutil.copytree(run_path, copy, ignore=shutil.ignore_patterns("analysis-*"))
    for path in (copy, tmp_path):
        assert main(["report", str(path)]) == 1
        assert f"spectral-edge analyze {copy}" in capsys.readouterr().err


def test_numbers_are_printed_where_the_terminal_has_no_greek_letters(tmp_path):
    command = [sys.executable, "-m", "spectral_edge.cli", *TRAIN, "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    shown = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert shown.returncode == 0, shown.stderr
    assert rb"\u03c3" in shown.stdout


def test_discover_refuses_a_step_without_a_snapshot(run_path, capsys):
    assert main(["discover", str(run_path), *ANALYZE, "--step", "7"]) == 1
    assert "7" in capsys.readouterr().err


def test_early_warning_says_which_run_is_missing(tmp_path, capsys):
    assert main(["experiment", "early-warning", "--paper", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "there is no run here" in error
    assert "-s42-" in error
    assert "reproduce --profile paper" in error
    assert not (tmp_path / "out").exists()


def test_compare_writes_table_figure_and_file(run_path, tmp_path, capsys):
    options = ["--checkpoint", "final", "--window", "9", "--stride", "5", "--draws", "20", "--out", str(tmp_path)]
    assert main(["compare", str(run_path), *options, "--k", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["null"] for row in found["rows"]} == {"isotropic", "span", "weights", "blocks", "inputs"}
    assert {row["direction"] for row in found["rows"]} == {1, 2}
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    assert se.load_comparison(tmp_path / "comparison.json").protocol["step"] == 60
    assert main(["compare", str(run_path), *options, "--nulls", "weights"]) == 0
    assert "concentration" in capsys.readouterr().out


def test_compare_says_what_it_cannot_do(run_path, tmp_path, capsys):
    assert main(["compare", str(run_path)]) == 1  # the tiny run never reaches a stop
    assert "--step" in capsys.readouterr().err
    assert main(["compare", str(run_path), "--step", "60", "--window", "50"]) == 1
    assert "window" in capsys.readouterr().err
    assert main(["compare", str(tmp_path), "--step", "60"]) == 1


def test_checkpoints_are_recorded_and_kept(tmp_path, capsys):
    for step in range(4):
        tensors = {"a.attn.weight": torch.full((2, 2), float(step**2)), "b": torch.ones(1)}
        save_file(tensors, tmp_path / f"c{step}.safetensors")
    files = [str(path) for path in sorted(tmp_path.glob("*.safetensors"))]
    assert main(["record", *files, "--out", str(tmp_path / "kept"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # One direction; updates of 1, 3 and 5 in each of four entries: sigma_1 = 2 sqrt(1 + 9 + 25).
    assert found["windows"][0]["singular_values"] == pytest.approx([2 * 35**0.5, 0, 0])
    assert (found["windows"][0]["first_step"], found["windows"][0]["step"]) == (1, 3)
    assert main(["record", *files[:2]]) == 1
    assert "at least 3" in capsys.readouterr().err
    assert main(["record", *files]) == 0
    assert "σ₁ 11.83" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "kept")]) == 0
    assert (tmp_path / "kept" / "figures" / "recording.png").stat().st_size > 5000
