"""``spectral-edge reproduce --profile paper`` from nothing to its report: 49 runs, every claim. Once."""

from __future__ import annotations

from benchmarks.reproduction import reproduced
from benchmarks.rows import show


def main() -> None:
    show(reproduced("paper", 1, at_most=3600))


if __name__ == "__main__":
    main()
