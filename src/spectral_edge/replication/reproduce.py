"""The reproduction: train every run of a profile, measure each, several at a time, and place its numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from spectral_edge.engines import LocalEngine
from spectral_edge.replication.assembly import assemble
from spectral_edge.replication.autoencoder import export_autoencoder, has_autoencoder
from spectral_edge.replication.catalogue import claims_in_order, studies_for
from spectral_edge.replication.claims import STATEMENTS
from spectral_edge.replication.completion import complete_run
from spectral_edge.replication.decision.document import committed, reproduction_claims, write_claims
from spectral_edge.replication.decision.evidence import is_asked, measure_reproduction
from spectral_edge.replication.decision.protocol import PROTOCOL, Protocol
from spectral_edge.replication.decision.tables import gathered, write_table
from spectral_edge.replication.progress import Progress, progress_of
from spectral_edge.replication.run_analysis import analyze_run, drawn_run
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import Analysis, Claims, Numbers, RunCorruptError, hold_lock, make_folder, set_aside
from spectral_edge.subjects import train_run
from spectral_edge.subjects.profiles import SEEDS, Profile, profile_runs
from spectral_edge.subjects.training_run import RunConfig, run_folder

if TYPE_CHECKING:
    import polars

__all__ = ["ReproduceConfig", "Reproduction", "reproduce"]

_POLL_SECONDS = 0.5
_PROFILE_SEEDS: dict[Profile, tuple[int, ...]] = {"quick": SEEDS[:1], "paper": SEEDS}


class ReproduceConfig(BaseModel):
    """What to reproduce."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    profile: Profile = "quick"
    """quick: the four operations that generalise, one seed. paper: 49 runs, with the further numbers of every claim."""
    claims: tuple[str, ...] = ()
    """Which claims; all if empty. Only the runs that they need are trained."""
    seeds: tuple[int, ...] = ()
    """Which seeds; those of the profile if empty (quick: 42; paper: 42, 137, 2024)."""
    jobs: int = Field(os.cpu_count() or 1, ge=1)
    """Runs at a time, one process with one thread each; the results do not depend on it."""
    analysis: AnalysisConfig = AnalysisConfig()
    """How figures and further numbers are made; models are trained on its device, too, unless it is mps. The numbers
    beside the answers follow the protocol of the decision."""

    @field_validator("claims")
    @classmethod
    def _claims_exist(cls, claims: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [claim for claim in claims if claim not in STATEMENTS]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such claim; possible are {', '.join(STATEMENTS)}")
        return claims_in_order(claims or STATEMENTS)

    @field_validator("seeds")
    @classmethod
    def _seeds_are_distinct(cls, seeds: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        bad = [seed for seed in seeds if not 0 <= seed < 2**32]
        if bad or len(set(seeds)) < len(seeds):
            raise ValueError(
                f"{', '.join(map(str, seeds))}: seeds are distinct integers from 0 to {2**32 - 1}; the paper's are "
                f"{', '.join(map(str, SEEDS))}"
            )
        return seeds or _PROFILE_SEEDS[info.data.get("profile", "quick")]

    @field_validator("jobs")
    @classmethod
    def _jobs_fit(cls, jobs: int) -> int:
        cores = os.cpu_count() or 1
        if jobs > cores:
            raise ValueError(f"{jobs} processes on {cores} cores only slow each other down; possible are 1 to {cores}")
        return jobs

    @property
    def runs(self) -> list[RunConfig]:
        """The runs that the claims need, longest first."""
        device = {"device": "cuda" if self.analysis.device == "cuda" else "cpu"}
        runs = [run.model_copy(update=device) for run in profile_runs(self.profile, self.seeds)]
        return [run for run in runs if self._needs(run)]

    def _needs(self, run: RunConfig) -> bool:
        tasks = {question.task for question in self.protocol.questions if question.claim in self.claims}
        if is_asked(run) and tasks & {run.training.operation, "all"}:
            return True
        return any(study.claims for study in studies_for(self.studied, run.training, self.full_analysis))

    @property
    def studied(self) -> tuple[str, ...]:
        """The claims whose further numbers studies measure: of the whole paper only."""
        return self.claims if self.profile == "paper" else ()

    @property
    def full_analysis(self) -> AnalysisConfig:
        """The analysis, at every phase of training for the whole paper."""
        phases = "all" if self.profile == "paper" else self.analysis.phases
        return self.analysis.model_copy(update={"phases": phases})

    @property
    def protocol(self) -> Protocol:
        """How the numbers beside the answers are measured."""
        return PROTOCOL


@dataclass(frozen=True)
class Reproduction:
    """What a reproduction leaves behind.

    Attributes:
        claims: answers of the decision, and where the numbers of these runs lie; ``claims.json``.
        numbers: what studies measured; ``numbers.json``.
        analyses: what figures are drawn from.
    """

    claims: Claims
    numbers: Numbers
    analyses: list[Analysis]


def reproduce(
    out: Path, config: ReproduceConfig, on_progress: Callable[[list[Progress]], None] | None = None
) -> Reproduction:
    """Run the profile into ``out`` and write ``out/claims.json``; whatever is finished already is not redone.

    Each run of one operation is measured by the protocol of the decision; ``out/rows.parquet`` and
    ``out/series.parquet`` have every number. A run that is found damaged is moved to ``out/set-aside``, named in its
    progress, and trained again. Sparse autoencoders, where a claim needs them, are left in ``out/autoencoders`` in the
    layout of SAELens.

    Args:
        out: result directory, made if missing; runs go to ``out/runs/<run id>``.
        config: profile, claims, seeds, jobs, analysis.
        on_progress: called about twice a second with one entry a run.

    Raises:
        StoreError: ``out`` is a file or cannot be written, or a run is in use by another process.
        EngineError: a worker process was killed.
    """
    make_folder(out)
    with hold_lock(out / "lock"):  # a second command here would only steal runs from the first
        started = time.monotonic()
        _train_and_measure(out, config, on_progress)
        return _gathered(out, config, started)


def _train_and_measure(
    out: Path, config: ReproduceConfig, on_progress: Callable[[list[Progress]], None] | None
) -> None:
    with LocalEngine(config.jobs) as engine:
        for run in config.runs:
            engine.place(run.run_id, _complete, out, run, config.full_analysis, config.studied, config.protocol)
        _follow(out, config, engine, on_progress)


def _gathered(out: Path, config: ReproduceConfig, started: float) -> Reproduction:
    analysis, runs = config.full_analysis, config.runs
    found = []
    for run in runs:
        folder = run_folder(out, run)
        found.append(analyze_run(folder, analysis, config.studied) if config.studied else drawn_run(folder, analysis))
    for stored in filter(has_autoencoder, found):
        export_autoencoder(stored, out / "autoencoders" / stored.summary.run_id)
    seconds = round(time.monotonic() - started, 1)
    numbers = assemble(found, analysis, config.profile, seconds, config.studied)
    numbers = numbers.write_unless_same(out / "numbers.json", ("rows", "runs"))
    tables = {kind: _table(out, runs, kind, config.protocol) for kind in ("rows", "series")}
    claims = reproduction_claims(
        config.profile, tables["rows"], tables["series"], seconds, committed(), config.protocol, config.claims
    )
    return Reproduction(write_claims(out / "claims.json", claims), numbers, found)


def _table(out: Path, runs: Sequence[RunConfig], kind: str, protocol: Protocol) -> polars.DataFrame | None:
    """The measured rows of all runs as one table, which is kept beside the claims; ``None`` if there are none."""
    paths = [path for run in runs if (path := out / "measured" / f"{run.run_id}.{kind}.parquet").exists()]
    if not paths:
        return None
    table = gathered(paths, protocol)
    write_table(out / f"{kind}.parquet", table.rows(named=True))
    return table


def _complete(
    out: Path, run: RunConfig, analysis: AnalysisConfig, studied: tuple[str, ...], protocol: Protocol
) -> str | None:
    """Train and measure one run; returns what was wrong with it if it had to be set aside and trained again."""
    path = run_folder(out, run)
    try:
        _complete_once(path, run, analysis, studied, protocol)
    except RunCorruptError as problem:
        moved = set_aside(path, out / "set-aside")
        _complete_once(path, run, analysis, studied, protocol)
        return f"was damaged, is now {moved}, and was trained again: {problem}"
    return None


def _complete_once(
    path: Path, run: RunConfig, analysis: AnalysisConfig, studied: tuple[str, ...], protocol: Protocol
) -> None:
    if studied:
        complete_run(path, run, analysis, studied)
    else:
        train_run(path, run)
        drawn_run(path, analysis)
    measure_reproduction(path, run, path.parents[1] / "measured", protocol)


def _follow(
    out: Path, config: ReproduceConfig, engine: LocalEngine, on_progress: Callable[[list[Progress]], None] | None
) -> None:
    notes: dict[str, str | None] = {}
    while len(notes) < len(config.runs):
        for ended in engine.collect(_POLL_SECONDS):
            notes[ended.name] = ended.result()  # the first failure ends the command with its own message
        if on_progress:
            running = engine.running
            on_progress(
                [
                    progress_of(
                        out,
                        run,
                        config.full_analysis,
                        config.studied,
                        "done" if run.run_id in notes else "running" if run.run_id in running else "waiting",
                        notes.get(run.run_id),
                    )
                    for run in config.runs
                ]
            )
