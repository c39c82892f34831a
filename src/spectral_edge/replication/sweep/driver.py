"""Run a sweep: place what is left of it, wait for what others are doing, and leave no run to two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spectral_edge.engines import Ended, Engine
from spectral_edge.engines.versions import versions
from spectral_edge.replication.sweep.spec import SweepSpec
from spectral_edge.replication.sweep.status import RunState, run_state
from spectral_edge.replication.sweep.unit import Outcome, complete_unit
from spectral_edge.store import SweepFile, make_folder, write_sweep
from spectral_edge.subjects.training_run import run_folder

__all__ = ["run_sweep"]

_POLL_SECONDS = 0.5


def run_sweep(
    root: Path, spec: SweepSpec, engine: Engine, on_outcome: Callable[[Outcome], None] | None = None
) -> list[Outcome]:
    """Bring every run of a sweep to its end; what is finished is not computed again.

    Runs that another process holds, of another sweep or of any other command, are waited for. A run that fails stops no
    other. A run that failed by itself (its training diverged) counts as settled and is not tried again; one that could
    not go on, such as on a full disk, is tried by the next call.

    Args:
        root: result directory, made if missing; runs go to ``root/runs/<run id>``, and what the sweep asks for to
            ``root/sweeps``. It must be the same place for all workers.
        spec: what to compute.
        engine: where; opened.
        on_outcome: called with each run that has ended.

    Returns:
        How each run ended, in the order of the spec: finished or failed.

    Raises:
        SpecError: the spec cannot be run; nothing is written.
        StoreError: ``root`` is a file or cannot be written.
        EngineError: the engine can place nothing any more.
    """
    runs = {run.run_id: run for run in spec.configurations}
    claims = spec.claims_in_order
    make_folder(root)
    root = root.resolve()  # workers may stand in other directories
    plain = [run.model_dump(mode="json") for run in runs.values()]
    analysis = spec.analysis.model_dump(mode="json") if claims else {}
    write_sweep(root, SweepFile(runs=plain, claims=list(claims), analysis=analysis))
    outcomes: dict[str, Outcome] = {}
    placed: set[str] = set()

    def note(outcome: Outcome) -> None:
        placed.discard(outcome.run_id)
        if outcome.state == "busy":
            return  # looked at again until it is free or finished
        outcomes[outcome.run_id] = outcome
        if on_outcome:
            on_outcome(outcome)

    while True:
        for name, run in runs.items():
            if name in placed or name in outcomes:
                continue
            found = run_state(run_folder(root, run), run, [(spec.analysis, claims)])
            if found.state in ("finished", "failed", "unreadable"):
                note(_as_found(found))
            elif found.state != "running":
                engine.place(name, complete_unit, root, run, spec.analysis, claims, versions())
                placed.add(name)
        if len(outcomes) == len(runs):
            return [outcomes[name] for name in runs]
        for ended in engine.collect(_POLL_SECONDS):
            note(_outcome(ended))


def _as_found(state: RunState) -> Outcome:
    if state.state == "finished":
        return Outcome(state.run_id, "finished")
    remedy = f" It is not tried again: change its configuration, or delete {state.path} to train it anew."
    return Outcome(state.run_id, "failed", why=f"{state.why}.{remedy}" if state.state == "failed" else state.why)


def _outcome(ended: Ended) -> Outcome:
    if ended.error is not None:
        return Outcome(ended.name, "failed", computed=True, why=str(ended.error))
    outcome: Outcome = ended.value
    return outcome
