"""The spec, the commands and the code on the page about sweeps run."""

import re
import runpy
import shlex
from pathlib import Path

from spectral_edge.cli import main
from spectral_edge.studies.sweep import State

PAGE = (Path(__file__).parents[1] / "docs" / "sweeps.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


def test_the_spec_and_what_follows_it_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (spec,) = blocks("toml")
    assert "max_steps = 200\n" in spec
    Path("spec.toml").write_text(spec.replace("max_steps = 200", "max_steps = 40"))  # what else it says is tested
    commands = re.findall(r"^spectral-edge .*", PAGE, flags=re.M)
    sweep, status = commands[0], commands[-1]
    assert "--jobs 2" in sweep
    for line in (sweep, status):
        assert main(shlex.split(line, comments=True)[1:]) == 0
    assert "13 finished" in capsys.readouterr().out
    (code,) = blocks("python")
    Path("table.py").write_text(code)
    runpy.run_path("table.py")
    assert "shape: (5, 7)" in capsys.readouterr().out
    assert Path("runs.parquet").stat().st_size > 1000


def test_every_state_is_explained():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.M) == list(State.__args__)
