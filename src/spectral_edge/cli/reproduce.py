"""``spectral-edge reproduce``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.console import Console
from rich.live import Live
from rich.table import Table

from spectral_edge.cli.output import Output, integers, listed
from spectral_edge.replication import AnalysisConfig, Progress, ReproduceConfig, reproduce
from spectral_edge.report import placed_sentence, write_report
from spectral_edge.store import Claims
from spectral_edge.subjects.profiles import Profile

__all__ = ["Reproduce"]

_SUMMARY_EVERY = 60.0


@dataclass(frozen=True)
class Reproduce:
    """Train the paper's models, place their numbers among the stored runs, and write claims.json, report, figures.

    Killed at any moment, the same command continues; finished runs and analyses are not computed again.

    Example:  spectral-edge reproduce --profile paper --claims C1,C11 --out runs/paper
    """

    profile: Profile = "quick"
    """quick: four operations, one seed, some minutes. paper: 49 runs and further numbers of every claim, two hours."""
    out: Path | None = None
    """Where results go; by default runs/PROFILE."""
    claims: str = ""
    """Which claims, separated by commas; all if not given. Only the runs that they need are trained."""
    seeds: str = ""
    """Which seeds, separated by commas; by default those of the profile (quick: 42; paper: 42,137,2024)."""
    jobs: int | None = None
    """Runs at a time, one process with one thread each; by default one a core."""
    analysis: tyro.conf.OmitArgPrefixes[AnalysisConfig] = field(default_factory=AnalysisConfig)
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Train, measure, place, report."""
        out = self.out or Path("runs") / self.profile
        jobs = {} if self.jobs is None else {"jobs": self.jobs}
        config = ReproduceConfig(
            profile=self.profile,
            claims=listed(self.claims),
            seeds=integers("--seeds", self.seeds),
            analysis=self.analysis,
            **jobs,
        )
        if self.output.quiet or self.output.json:
            found = reproduce(out, config)
        else:
            with _Display(config.jobs) as display:
                found = reproduce(out, config, display.show)
        self.output.say("drawing the report")
        page = write_report(found.claims, found.numbers, found.analyses, out)
        values = {
            "claims": str(out / "claims.json"),
            "report": str(page),
            "answers": [answer.model_dump(exclude={"tasks"}) for answer in found.claims.answers],
            "inside": sum(one.inside for one in found.claims.placed),
            "placed": len(found.claims.placed),
        }
        self.output.result(values, f"{_answers(found.claims)}\n{placed_sentence(found.claims.placed)}\n{page}")


def _answers(claims: Claims) -> str:
    lines = ["claim  reproduces  exists     specific   (the decision's answers)"]
    for one in claims.answers:
        answers = [value or "—" for value in (one.reproduces, one.exists, one.specific)]
        lines.append(f"{one.claim:5}  {'  '.join(f'{answer:10}'[:10] for answer in answers)} {one.statement}")
    return "\n".join(lines)


class _Display:
    """A live table of the runs under way on a terminal; elsewhere a plain line whenever a run has moved on."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else None
        self._printed: dict[str, tuple[str, int | None]] = {}
        self._noted: set[str] = set()
        self._summarised = -_SUMMARY_EVERY

    def __enter__(self) -> _Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, runs: list[Progress]) -> None:
        """Draw the state of all runs."""
        for run in runs:
            if run.note and run.name not in self._noted:
                self._noted.add(run.name)
                self._console.print(f"{run.name} {run.note}", markup=False, soft_wrap=True)
        under_way = [run for run in runs if run.stage not in ("waiting", "done")]
        if self._live:
            self._live.update(_table(under_way, _summary(runs, self._jobs)))
            return
        for run in under_way:
            state = (run.stage, None if run.step is None else run.step // 500)
            if self._printed.get(run.name) != state:
                self._printed[run.name] = state
                print("  ".join(cell for cell in _cells(run) if cell), flush=True)
        if time.monotonic() - self._summarised >= _SUMMARY_EVERY:
            self._summarised = time.monotonic()
            print(_summary(runs, self._jobs), flush=True)


def _summary(runs: list[Progress], jobs: int) -> str:
    done = sum(run.stage == "done" for run in runs)
    seconds = max(sum(run.seconds_left for run in runs) / jobs, max((run.seconds_left for run in runs), default=0))
    return f"{done} of {len(runs)} runs done, ≈ {seconds / 60:.0f} min left"


def _cells(run: Progress) -> list[str]:
    return [
        run.name,
        run.stage,
        "" if run.step is None else f"step {run.step}",
        "" if run.train_accuracy is None else f"train {run.train_accuracy:.3f}",
        "" if run.test_accuracy is None else f"test {run.test_accuracy:.3f}",
        "" if run.sigma_ratio is None else f"σ₁/σ₂ {run.sigma_ratio:.2f}",
        "" if run.stage == "done" else f"≈ {run.seconds_left:.0f} s left",
    ]


def _table(runs: list[Progress], summary: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for run in runs:
        name, *rest = _cells(run)
        table.add_row(name.rsplit("-", 1)[0], *rest)  # the hash of the configuration would not fit 80 columns
    table.add_row(summary)
    return table
