"""``spectral-edge reproduce --profile paper``: what the run took that gave ``results/paper``, as it says itself.

Not measured again here, since it is an hour and more: ``make paper`` and ``make results`` do that.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.reproduction import stages
from benchmarks.rows import median_row, show

STORED = Path(__file__).parents[1] / "results" / "paper" / "claims.json"


def main() -> None:
    claims = json.loads(STORED.read_text())
    steps, spent = stages(claims["runs"])
    show(
        median_row(
            "reproduce --profile paper, two cores",
            "s",
            [claims["wall_seconds"]],
            at_most=7200,  # 304 TFLOP of training are 30 minutes of two cores at 85 GFLOP/s each; analyses need as long
            arithmetic=f"{1.05e-3 * steps:.0f} TFLOP of training",
            moved=f"{len(claims['runs'])} run directories",
            note=f"at commit {claims['environment']['git_commit'][:10]}; process-seconds: {spent}",
        )
    )


if __name__ == "__main__":
    main()
