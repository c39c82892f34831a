"""What one waits for before anything happens: importing the package beyond torch, and the help of the command line.

Processes of their own, in turns. An import reads some hundred small files; both sides have them in the page cache.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

from benchmarks.rows import Row, in_turns, median_row, show

ROUNDS = 9
ALL_NAMES = "import torch, spectral_edge as se; [getattr(se, name) for name in se.__all__]"


def process(*command: str) -> Callable[[], object]:
    return lambda: subprocess.run(command, check=True, capture_output=True)


def python(code: str) -> Callable[[], object]:
    return process(sys.executable, "-c", code)


def rows() -> Iterator[Row]:
    found = in_turns(
        ROUNDS,
        python("import torch"),
        python("import torch, spectral_edge"),
        python("import torch, spectral_edge as se; se.watch"),
        python(ALL_NAMES),
        process(sys.executable, "-m", "spectral_edge.cli", "--help"),
        process(sys.executable, "-m", "spectral_edge.cli", "reproduce", "--help"),
    )
    torch, *sides = zip(*found, strict=True)
    beyond = [[a - b for a, b in zip(side, torch, strict=True)] for side in sides[:3]]
    yield median_row("import of the package beyond torch", "s", beyond[0], at_most=0.3, note="rooms load at first use")
    yield median_row("the same and watch", "s", beyond[1])
    yield median_row("the same and every public name", "s", beyond[2], note="SciPy and SymPy")
    yield median_row("spectral-edge --help", "s", sides[3], at_most=1.5)
    yield median_row(
        "spectral-edge reproduce --help", "s", sides[4], note="its options are fields of what torch is part of"
    )


def main() -> None:
    for row in rows():
        show(row)


if __name__ == "__main__":
    main()
