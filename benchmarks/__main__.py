"""Run benchmarks, each in a process of its own, and keep their rows: ``python -m benchmarks [part ...]``.

Without arguments every part. ``benchmarks/results.json`` keeps the rows of a part
until it is run again, with the machine and commit that they come from; ``docs/benchmarks.md`` gets their table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spectral_edge.store import describe_environment

PARTS = (
    *(
        "startup",
        "training",
        "sweep",
        "responses",
        "comparison",
        "language",
        "analysis",
        "reproduction",
        "growth",
        "recording",
    ),
    "discovery",
)
ONE_THREAD = (
    "training",
    "sweep",
    "responses",
    "discovery",
)  # of the libraries, too, which read it when they are loaded
HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results.json", HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
MACHINE = ("cpu", "cpu_cores", "platform", "python", "torch", "git_commit", "git_modified")


def measured(part: str) -> dict[str, Any]:
    """The rows of one part, and where they come from."""
    threads = "1" if part in ONE_THREAD else str(os.cpu_count())
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    command = [sys.executable, "-m", f"benchmarks.{part}"]
    rows = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                rows.append(json.loads(line))
                print(table([rows[-1]], head=False), flush=True)
    if process.returncode:
        raise SystemExit(f"benchmarks: {part} failed with status {process.returncode}; its rows are left as they were")
    described = describe_environment()
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", **{key: described[key] for key in MACHINE}, "rows": rows}


def table(rows: list[dict[str, Any]], head: bool = True) -> str:
    """Rows as a Markdown table: goal, measured, verdict, then the two numbers to set them against."""
    lines = [
        "| what | goal | measured (range) | verdict | arithmetic needed | bytes moved | note |",
        "| --- " * 7 + "|",
    ]
    for row in rows:
        value, least, largest = (
            f"{row[key]:.{max(3, len(str(int(row[key]))))}g}" for key in ("value", "least", "largest")
        )
        number = f"{value} {row['unit']} ({least} to {largest})".replace("  ", " ")
        verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
        cells = (row["name"], row["goal"], number, verdict, row["arithmetic"], row["moved"], row["note"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines if head else lines[2:])


def page(results: dict[str, Any]) -> str:
    """What stands between the markers of the page."""
    parts = [part for part in PARTS if part in results]
    sections = []
    for part in parts:
        found = results[part]
        commit = (found["git_commit"] or "unknown")[:10] + (" with changes" if found["git_modified"] else "")
        where = f"{found['cpu']}, {found['cpu_cores']} cores, torch {found['torch']}, {found['date']}, commit {commit}"
        sections.append(f"### {part}\n\n{table(found['rows'])}\n\n{where}; `python -m benchmarks {part}`.")
    return "\n\n".join(sections)


def main() -> None:
    """Run the parts given, or all."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    print(table([]))
    for part in sys.argv[1:] or PARTS:
        if part not in PARTS:
            raise SystemExit(f"benchmarks: no part {part!r}; choose from {', '.join(PARTS)}")
        results[part] = measured(part)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{page(results)}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
