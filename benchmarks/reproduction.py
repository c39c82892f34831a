"""``spectral-edge reproduce --profile quick`` from nothing to its report, a new folder each round.

Twelve thousand steps of 1.05 GFLOP are 13 TFLOP, and the nulls of four runs 5 TFLOP: 100 s of two cores at 90 GFLOP/s
each if nothing else were done.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, median_row, show, timed

ROUNDS = 5


def stages(runs: list[dict[str, Any]]) -> tuple[int, str]:
    """Steps of all runs, and the seconds of training and of each study, longest first, in words."""
    spent: dict[str, float] = {}
    for run in runs:
        for stage, seconds in run["seconds"].items():
            spent[stage] = spent.get(stage, 0) + seconds
    words = (f"{stage} {seconds:.0f}" for stage, seconds in sorted(spent.items(), key=lambda s: -s[1]))
    return sum(run["steps"] for run in runs), ", ".join(words)


def reproduced() -> Row:
    """Seconds of the whole command; the note says where they went, in core-seconds of the last round."""
    seconds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            command = ["-m", "spectral_edge.cli", "reproduce", "--profile", "quick", "--out", folder, "--quiet"]
            seconds.append(
                timed(lambda c=command: subprocess.run([sys.executable, *c], check=True, capture_output=True))
            )
            runs = json.loads((Path(folder) / "numbers.json").read_text())["runs"]
    steps, spent = stages(runs)
    return median_row(
        "reproduce --profile quick, two cores",
        "s",
        seconds,
        at_most=240,
        arithmetic=f"{1.05e-3 * steps:.0f} TFLOP of training",
        moved=f"{len(runs)} run directories",
        note=f"core-seconds: {spent}",
    )


def main() -> None:
    show(reproduced())


if __name__ == "__main__":
    main()
