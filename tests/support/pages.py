"""The blocks of code on a page of documentation, and what runs them."""

import csv
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", flags=re.M | re.S)
_COMMAND = 'spectral-edge() {{ "{python}" -m spectral_edge.cli "$@"; }}\nset -e\n'


def pages():
    """Every page with code that people write: README and docs, not what is generated."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def fences(page):
    """(language, code) of every block, in order."""
    return _FENCE.findall(page.read_text(encoding="utf-8"))


def blocks(page, language):
    return [code for found, code in fences(page) if found == language]


def tables_in_the_record(folder):
    """How many CSV files a folder has; each of their rows must stand in the record of findings."""
    record = (ROOT / "docs" / "findings.md").read_text()
    found = sorted(folder.glob("*.csv"))
    for table in found:
        with table.open() as file:
            for row in csv.reader(file):
                assert f"| {' | '.join(row)} |" in record
    return len(found)


def apply_diffs(page, folder):
    """A copy of the source in ``folder`` with each diff of ``page`` applied in order; how many there are."""
    shutil.copytree(SOURCE, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    diffs = blocks(page, "diff")
    for diff in diffs:
        done = subprocess.run(["git", "apply", "-"], cwd=folder, input=diff, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    return len(diffs)


def run_python(codes, folder):
    """Run each block as a script of its own, in this process."""
    for i, code in enumerate(codes):
        script = folder / f"block_{i}.py"
        script.write_text(code)
        runpy.run_path(str(script))


def run_elsewhere(arguments, folder, source=SOURCE):
    """Run a program with the package from ``source``; its output."""
    paths = os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_shell(code, folder, source=SOURCE):
    """Run a block of commands with bash, ``spectral-edge`` being that of ``source``; what it prints."""
    return run_elsewhere(["bash", "-c", _COMMAND.format(python=sys.executable) + code], folder, source)
