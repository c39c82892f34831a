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

from benchmarks.rows import Row, median_row, show, timed

ROUNDS = 3


def reproduced(profile: str, rounds: int, **goal: float) -> Row:
    """Seconds of the whole command; the note says where they went, in core-seconds of the last round."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            command = ["-m", "spectral_edge.cli", "reproduce", "--profile", profile, "--out", folder, "--quiet"]
            seconds.append(
                timed(lambda c=command: subprocess.run([sys.executable, *c], check=True, capture_output=True))
            )
            runs = json.loads((Path(folder) / "claims.json").read_text())["runs"]
    stages: dict[str, float] = {}
    for run in runs:
        for stage, spent in run["seconds"].items():
            stages[stage] = stages.get(stage, 0) + spent
    note = ", ".join(f"{stage} {spent:.0f}" for stage, spent in sorted(stages.items(), key=lambda s: -s[1]))
    steps = sum(run["steps"] for run in runs)
    return median_row(
        f"reproduce --profile {profile}, two cores",
        "s",
        seconds,
        **goal,
        arithmetic=f"{1.05e-3 * steps:.0f} TFLOP of training",
        moved=f"{len(runs)} run directories",
        note=f"core-seconds: {note}",
    )


def main() -> None:
    show(reproduced("quick", ROUNDS, at_most=150))


if __name__ == "__main__":
    main()
