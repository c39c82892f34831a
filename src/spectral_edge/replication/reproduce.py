"""The reproduction: train every run of a profile, analyse each, several at a time, and assemble the claims."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from spectral_edge.engines import LocalEngine
from spectral_edge.replication.assembly import assemble
from spectral_edge.replication.autoencoder import export_autoencoder, has_autoencoder
from spectral_edge.replication.catalogue import QUICK_CLAIMS, claims_in_order, studies_for
from spectral_edge.replication.claims import RULES
from spectral_edge.replication.completion import complete_run
from spectral_edge.replication.progress import Progress, progress_of
from spectral_edge.replication.run_analysis import analyze_run
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import (
    Analysis,
    Claims,
    RunCorruptError,
    StoreError,
    hold_lock,
    set_aside,
)
from spectral_edge.subjects.profiles import SEEDS, Profile, profile_runs
from spectral_edge.subjects.training_run import RunConfig, run_folder

__all__ = ["ReproduceConfig", "reproduce"]

_POLL_SECONDS = 0.5
_PROFILE_CLAIMS: dict[Profile, tuple[str, ...]] = {"quick": QUICK_CLAIMS, "paper": tuple(r.claim for r in RULES)}
_PROFILE_SEEDS: dict[Profile, tuple[int, ...]] = {"quick": SEEDS[:1], "paper": SEEDS}


class ReproduceConfig(BaseModel):
    """What to reproduce."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    profile: Profile = "quick"
    """quick: the four operations that grok, one seed, eight claims. paper: every run and every claim."""
    claims: tuple[str, ...] = ()
    """Which claims; all of the profile if empty. Only the runs that they need are trained."""
    seeds: tuple[int, ...] = ()
    """Which seeds; those of the profile if empty (quick: 42; paper: 42, 137, 2024)."""
    jobs: int = Field(os.cpu_count() or 1, ge=1)
    """Runs at a time, one process with one thread each; the results do not depend on it."""
    analysis: AnalysisConfig = AnalysisConfig()
    """How each run is analysed; models are trained on its device, too, unless it is mps."""

    @field_validator("claims")
    @classmethod
    def _claims_exist(cls, claims: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        possible = _PROFILE_CLAIMS[info.data.get("profile", "quick")]
        unknown = [claim for claim in claims if claim not in possible]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: not in this profile; possible are {', '.join(possible)}")
        return claims_in_order(claims or possible)

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
        return [
            run for run in runs if any(s.claims for s in studies_for(self.claims, run.training, self.full_analysis))
        ]

    @property
    def full_analysis(self) -> AnalysisConfig:
        """The analysis, at every phase of training for the whole paper."""
        phases = "all" if self.profile == "paper" else self.analysis.phases
        return self.analysis.model_copy(update={"phases": phases})


def reproduce(
    out: Path, config: ReproduceConfig, on_progress: Callable[[list[Progress]], None] | None = None
) -> tuple[Claims, list[Analysis]]:
    """Run the profile into ``out`` and write ``out/claims.json``; whatever is finished already is not redone.

    A run that is found damaged is moved to ``out/set-aside``, named in its progress, and trained again. Sparse
    autoencoders, where a claim needs them, are left in ``out/autoencoders`` in the layout of SAELens.

    Args:
        out: result directory, made if missing; runs go to ``out/runs/<run id>``.
        config: profile, claims, seeds, jobs, analysis.
        on_progress: called about twice a second with one entry a run.

    Returns:
        The claims, and the analyses that figures are drawn from.

    Raises:
        StoreError: ``out`` is a file or cannot be written, or a run is in use by another process.
        EngineError: a worker process was killed.
    """
    _prepare(out)
    with hold_lock(out / "lock"):  # a second command here would only steal runs from the first
        return _reproduce(out, config, on_progress)


def _reproduce(
    out: Path, config: ReproduceConfig, on_progress: Callable[[list[Progress]], None] | None
) -> tuple[Claims, list[Analysis]]:
    started = time.monotonic()
    runs, analysis = config.runs, config.full_analysis
    with LocalEngine(config.jobs) as engine:
        for run in runs:
            engine.place(run.run_id, _complete, out, run, analysis, config.claims)
        _follow(out, config, engine, on_progress)
    analyses = [analyze_run(run_folder(out, run), analysis, config.claims) for run in runs]
    for stored in filter(has_autoencoder, analyses):
        export_autoencoder(stored, out / "autoencoders" / stored.summary.run_id)
    claims = assemble(analyses, analysis, config.profile, round(time.monotonic() - started, 1), config.claims)
    return _commit(out / "claims.json", claims), analyses


def _prepare(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: the output path is a file. Choose another path, or move the file away.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise StoreError(f"{out}: cannot be made ({cause.strerror}). Choose another path.") from cause


def _commit(path: Path, claims: Claims) -> Claims:
    """Write the claims unless the file already says the same: a repeated command leaves the first record standing."""
    if path.exists():
        try:
            old = Claims.read(path)
        except StoreError:
            old = None  # damaged: it is derived from the runs, so it is made again
        if old is not None and (old.rows, old.verdicts, old.runs) == (
            claims.rows,
            claims.verdicts,
            claims.runs,
        ):
            return old
    claims.write(path)
    return claims


def _complete(out: Path, run: RunConfig, analysis: AnalysisConfig, claims: tuple[str, ...]) -> str | None:
    """Train and analyse one run; returns what was wrong with it if it had to be set aside and trained again."""
    path = run_folder(out, run)
    try:
        complete_run(path, run, analysis, claims)
    except RunCorruptError as problem:
        moved = set_aside(path, out / "set-aside")
        complete_run(path, run, analysis, claims)
        return f"was damaged, is now {moved}, and was trained again: {problem}"
    return None


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
                        config.claims,
                        "done" if run.run_id in notes else "running" if run.run_id in running else "waiting",
                        notes.get(run.run_id),
                    )
                    for run in config.runs
                ]
            )
