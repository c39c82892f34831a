"""The blocks of code on a page of documentation, and what runs them."""

import os
import re
import runpy
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
