"""The wheel, in an environment of its own with declared dependencies only, does what the README begins with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.pages import ROOT

TINY = "--p 7 --d-model 8 --n-heads 2 --d-mlp 8 --batch-size 8 --eval-every 2 --max-steps 24 --window 2"
ANALYSIS = "--window 4 --stride 2 --random-directions 20 --permutations 20"
IMPORT_ALL = """
import importlib, pathlib, pkgutil, spectral_edge
optional = ("lightning", "hugging_face", "dask", "slurm")  # of an extra
names = [m.name for m in pkgutil.walk_packages(spectral_edge.__path__, "spectral_edge.")]
names = [n for n in names if n.split(".")[-1] not in (*optional, "__main__") and ".serve" not in n]
for name in names:
    importlib.import_module(name)
print(len(names), pathlib.Path(spectral_edge.__file__).parent)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The bin folder of a new environment with the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    call(sys.executable, "-m", "venv", folder / "venv")
    (wheel,) = folder.glob("spectral_edge-*.whl")
    pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--no-compile"]
    call(*pip, "--constraint", ROOT / "requirements.txt", wheel)
    return folder / "venv/bin"


def call(*command, cwd=None):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_module_that_needs_no_extra_imports(bare, tmp_path):
    count, folder = call(bare / "python", "-c", IMPORT_ALL, cwd=tmp_path).split()
    assert int(count) > 150
    assert bare.parent in Path(folder).parents


def test_a_run_is_trained_analysed_and_reported(bare, tmp_path):
    command = bare / "spectral-edge"
    call(command, "train", *TINY.split(), "--out", "mine", "--quiet", cwd=tmp_path)
    (run,) = (tmp_path / "mine" / "runs").iterdir()
    call(command, "analyze", run, *ANALYSIS.split(), "--quiet", cwd=tmp_path)
    call(command, "report", run, *ANALYSIS.split(), "--quiet", cwd=tmp_path)
    page = next(tmp_path.rglob("report.html")).read_text()
    assert "<style" in page  # the template and its style sheet are files of the wheel
    assert "C6" in page


def test_pages_of_serve_come_along(bare):
    call(bare / "python", "-c", "import importlib.util as u; assert not u.find_spec('fastapi')")
    static = next(bare.parent.glob("lib/*/site-packages/spectral_edge/serve/static"))
    assert {"shell.html", "style.css", "modes.js", "film_export.html"} <= {page.name for page in static.iterdir()}


def test_serve_without_its_extra_says_what_to_install(bare, tmp_path):
    done = subprocess.run([bare / "spectral-edge", "serve", "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "[serve]" in done.stderr


def test_the_answers_of_the_decision_come_with_it(bare, tmp_path):
    code = "from spectral_edge.replication.decision.document import committed; print(len(committed().answers))"
    assert call(bare / "python", "-c", code, cwd=tmp_path).strip() == "14"
