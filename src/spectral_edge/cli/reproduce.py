"""``spectral-edge reproduce``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.console import Console
from rich.live import Live
from rich.table import Table

from spectral_edge.cli.output import Output
from spectral_edge.report import write_report
from spectral_edge.store import Claims
from spectral_edge.studies import Progress, ReproduceConfig, reproduce

__all__ = ["Reproduce"]

_YES_NO = {True: "yes", False: "no", None: "—"}


@dataclass(frozen=True)
class Reproduce:
    """Train the paper's models, test every claim against its null, and write claims.json, report, figures, tables.

    Killed at any moment, the same command continues; finished runs are not computed again.

    Example:  spectral-edge reproduce --profile quick --out runs/quick
    """

    out: Path = Path("runs/quick")
    """Where results go."""
    config: tyro.conf.OmitArgPrefixes[ReproduceConfig] = field(default_factory=ReproduceConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, analyse, judge, report."""
        if self.output.quiet or self.output.json:
            claims, analyses = reproduce(self.out, self.config)
        else:
            with _Display() as display:
                claims, analyses = reproduce(self.out, self.config, display.show)
        self.output.say("drawing the report")
        page = write_report(claims, analyses, self.out)
        values = {
            "claims": str(self.out / "claims.json"),
            "report": str(page),
            "verdicts": [verdict.model_dump() for verdict in claims.verdicts],
        }
        self.output.result(values, f"{_verdicts(claims)}\n{page}")


def _verdicts(claims: Claims) -> str:
    lines = ["claim  reproduces  survives null"]
    for v in claims.verdicts:
        lines.append(f"{v.claim:5}  {_YES_NO[v.reproduces]:10}  {_YES_NO[v.survives_null]:13}  {v.statement}")
    return "\n".join(lines)


class _Display:
    """A live table on a terminal; elsewhere a plain line whenever a run has moved on."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else None
        self._printed: dict[str, tuple[str, int | None]] = {}

    def __enter__(self) -> _Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, runs: list[Progress]) -> None:
        """Draw the state of all runs."""
        if self._live:
            self._live.update(_table(runs))
            return
        for run in runs:
            state = (run.stage, None if run.step is None else run.step // 500)
            if run.stage != "waiting" and self._printed.get(run.name) != state:
                self._printed[run.name] = state
                print("  ".join(cell for cell in _cells(run) if cell), flush=True)


def _cells(run: Progress) -> list[str]:
    return [
        run.name,
        run.stage,
        "" if run.step is None else f"step {run.step}",
        "" if run.train_accuracy is None else f"train {run.train_accuracy:.3f}",
        "" if run.test_accuracy is None else f"test {run.test_accuracy:.3f}",
        "" if run.sigma_ratio is None else f"σ₁/σ₂ {run.sigma_ratio:.2f}",
        "" if run.seconds_left is None else f"≈ {run.seconds_left:.0f} s left",
    ]


def _table(runs: list[Progress]) -> Table:
    table = Table.grid(padding=(0, 2))
    for run in runs:
        name, *rest = _cells(run)
        table.add_row(name.rsplit("-", 1)[0], *rest)  # the hash of the configuration would not fit 80 columns
    return table
