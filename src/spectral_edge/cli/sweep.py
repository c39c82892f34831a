"""``spectral-edge sweep SPEC``, ``sweep status`` and ``sweep table``."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from spectral_edge.cli.output import Output
from spectral_edge.engines import Engine, EngineError, LocalEngine
from spectral_edge.replication import sweep_table
from spectral_edge.replication.sweep import Outcome, RunState, read_spec, run_sweep, sweep_states

__all__ = ["Sweep", "with_default_action"]

_SHOWN = 10


@dataclass(frozen=True)
class Run:
    """Train every run of a spec, here or on many machines; the same command continues an interrupted sweep.

    A spec is a TOML file: [base] has fields that all runs share, [grid] fields with a list of values each, of which
    every combination is a run, and [[runs]] further single runs. Fields are those of `spectral-edge train`.
    docs/sweeps.md has an example, and what the file system must be able to do.

    Example:  spectral-edge sweep spec.toml --engine dask --scheduler tcp://node1:8786 --out runs/sweep
    """

    spec: tyro.conf.Positional[Path]
    """What to compute."""
    engine: Literal["local", "dask", "slurm"] = "local"
    """local: processes here. dask: workers of dask.distributed. slurm: jobs of a Slurm cluster."""
    out: Path | None = None
    """Where results go, the same place on all machines; by default runs/<name of the spec>. Sweeps may share it."""
    jobs: int | None = None
    """Runs at a time, one process with one thread each. By default one a core; with slurm as many as it allows."""
    scheduler: str | None = None
    """dask: address of a scheduler, such as tcp://node1:8786; without it, one is started here with --jobs workers."""
    partition: str | None = None
    """slurm: partition; by default that of the cluster. What else it needs goes into SBATCH_ACCOUNT and the like."""
    minutes: int = 60
    """slurm: time limit of a job; a run that needs longer is queued again and continues."""
    memory_gb: float = 4.0
    """slurm: memory of a job."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Place what is left, and print how each run ended."""
        spec = read_spec(self.spec)
        total = len(spec.configurations)  # what is wrong with it is said before any process is started
        out = self.out or Path("runs") / self.spec.stem
        ended: list[Outcome] = []
        with self._opened(out) as engine:

            def say(outcome: Outcome) -> None:
                ended.append(outcome)
                self.output.say(f"{len(ended)} of {total} ended: {_line(outcome)}")

            outcomes = run_sweep(out, spec, engine, say)
        failed = [outcome for outcome in outcomes if outcome.state == "failed"]
        summary = f"{len(outcomes) - len(failed)} of {len(outcomes)} runs finished, {len(failed)} failed\n{out}"
        self.output.result({"out": str(out), "runs": [outcome.to_dict() for outcome in outcomes]}, summary)
        if failed:
            shown = "".join(f"\n  {outcome.run_id}: {outcome.why}" for outcome in failed[:_SHOWN])
            more = f"\n  … and {len(failed) - _SHOWN} more: `spectral-edge sweep status {out}`" * (len(failed) > _SHOWN)
            raise EngineError(f"{len(failed)} of {len(outcomes)} runs failed; the others are finished.{shown}{more}")

    def _opened(self, out: Path) -> AbstractContextManager[Engine]:
        if self.engine != "dask" and self.scheduler is not None:
            raise ValueError("--scheduler belongs to --engine dask; add it, or leave --scheduler out")
        if self.scheduler is not None and self.jobs is not None:
            raise ValueError("--jobs does not apply to a cluster that is already there: it runs one at a time a worker")
        if self.jobs is not None and self.jobs < 1:
            raise ValueError(f"--jobs: {self.jobs} runs at a time; give at least 1")
        cores = os.cpu_count() or 1
        if self.engine == "local":
            return LocalEngine(self.jobs or cores)
        try:
            if self.engine == "dask":
                from spectral_edge.engines.dask import DaskEngine

                return DaskEngine(self.scheduler, self.jobs or cores)
            from spectral_edge.engines.slurm import SlurmEngine
        except ImportError as problem:
            raise EngineError(
                f"--engine {self.engine}: {problem}. Install it with: pip install 'spectral-edge[{self.engine}]'"
            ) from None
        return SlurmEngine(out.resolve() / "slurm", self.jobs, self.partition, self.minutes, self.memory_gb)


@dataclass(frozen=True)
class Status:
    """Show where every run of a result directory stands: state, step, time left, host. Disturbs no run.

    States: waiting, not begun; running; stopped, begun and now in nobody's hands; finished; failed; unreadable.

    Example:  spectral-edge sweep status runs/sweep
    """

    out: tyro.conf.Positional[Path]
    """The --out of sweeps, of `reproduce` or of `train`."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Read and print."""
        states = sweep_states(self.out)
        counts = {name: sum(state.state == name for state in states) for name in dict.fromkeys(s.state for s in states)}
        summary = ", ".join(f"{n} {name}" for name, n in counts.items()) or "no runs"
        text = "\n".join([*map(_status_line, states), summary])
        self.output.result({"runs": [state.to_dict() for state in states], "counts": counts}, text)


@dataclass(frozen=True)
class Table:
    """Write one table over all runs of a result directory, one a row, or one row a configuration with --over-seeds.

    Example:  spectral-edge sweep table runs/sweep --out runs.parquet
    """

    root: tyro.conf.Positional[Path]
    """The --out of sweeps, of `reproduce` or of `train`."""
    out: Path = Path("runs.parquet")
    """The file: .parquet or .csv."""
    over_seeds: bool = False
    """Take runs that differ in nothing but their seed together: means with 95 % t intervals."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Read, tabulate, write."""
        table = sweep_table(self.root)
        for state in table.skipped:
            self.output.say(f"no row: {_status_line(state)}")
        table = table.over_seeds() if self.over_seeds else table
        table.write(self.out)
        values = {"table": str(self.out), "rows": len(table.rows), "skipped": [s.to_dict() for s in table.skipped]}
        self.output.result(values, f"{len(table.rows)} rows\n{self.out}")


@dataclass(frozen=True)
class Sweep:
    """Run many models, look how they stand, and tabulate them. `sweep SPEC` is short for `sweep run SPEC`.

    Example:  spectral-edge sweep spec.toml --jobs 2 --out runs/sweep
    """

    action: (
        Annotated[Run, tyro.conf.subcommand("run")]
        | Annotated[Status, tyro.conf.subcommand("status")]
        | Annotated[Table, tyro.conf.subcommand("table")]
    )

    def run(self) -> None:
        """Do it."""
        self.action.run()


def with_default_action(arguments: list[str]) -> list[str]:
    """``sweep SPEC …`` as ``sweep run SPEC …``.

    >>> with_default_action(["spec.toml", "--json"])
    ['run', 'spec.toml', '--json']
    """
    named = ("run", "status", "table", "-h", "--help")
    return ["run", *arguments] if arguments and arguments[0] not in named else arguments


def _line(outcome: Outcome) -> str:
    if outcome.state == "failed":
        return f"{outcome.run_id} failed: {outcome.why}"
    where = f"on {outcome.host}" if outcome.computed else "found finished"
    return f"{outcome.run_id} {where}"


def _status_line(state: RunState) -> str:
    cells = [
        f"{state.run_id:32} {state.state:10}",
        "" if state.step is None else f"step {state.step} of at most {state.max_steps}",
        "" if state.seconds_left is None else f"at most {state.seconds_left / 60:.0f} min left",
        ""
        if state.host is None
        else f"{'on' if state.state == 'running' else 'was on'} {state.host} (pid {state.pid})",
        state.why or "",
    ]
    return "  ".join(cell for cell in cells if cell)
