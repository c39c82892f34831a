"""The spec, the commands and the code on the page about sweeps run."""

import re
import shlex
from pathlib import Path

from spectral_edge.cli import main
from spectral_edge.replication.sweep import State
from support.pages import ROOT, blocks, run_python

PAGE = ROOT / "docs" / "sweeps.md"
TEXT = PAGE.read_text()


def test_the_spec_and_what_follows_it_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (spec,) = blocks(PAGE, "toml")
    assert "max_steps = 200\n" in spec
    Path("spec.toml").write_text(spec.replace("max_steps = 200", "max_steps = 40"))  # what else it says is tested
    commands = re.findall(r"^spectral-edge .*", TEXT, flags=re.M)
    sweep, status = commands[0], commands[-1]
    assert "--jobs 2" in sweep
    for line in (sweep, status):
        assert main(shlex.split(line, comments=True)[1:]) == 0
    assert "13 finished" in capsys.readouterr().out
    run_python(blocks(PAGE, "python"), tmp_path)
    assert "shape: (5, 7)" in capsys.readouterr().out
    assert Path("runs.parquet").stat().st_size > 1000


def test_every_state_is_explained():
    assert re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.M) == list(State.__args__)
