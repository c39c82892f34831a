"""Early warning over the paper's sweep and the second set: runs in, every scheme and variant out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spectral_edge.experiments.early_warning.alarms import folds_of, judge
from spectral_edge.experiments.early_warning.protocol import GROK, VARIANTS, WarningConfig, statistics_of
from spectral_edge.experiments.early_warning.series import WatchedRun, watch_run
from spectral_edge.experiments.early_warning.summary import at_equal_steps, summarise_alarms
from spectral_edge.store import AlarmRow, EarlyWarnings, Scheme, WarningRow, describe_environment
from spectral_edge.subjects.profiles import SEEDS, discovery_runs, profile_runs
from spectral_edge.subjects.trained_run import TrainedRun
from spectral_edge.subjects.training_run import RunConfig

__all__ = ["early_warnings", "second_runs", "sweep_runs", "watch_runs"]

_SCHEMES: tuple[Scheme, ...] = (
    "seed",
    "seed, weight decay 1",
    "operation",
    "second set",
    "second set, weight decay 1",
)
# Single alarms beyond these are in the counts of the rows.
_STORED: dict[str, tuple[Scheme, ...]] = {
    "": ("seed", "seed, weight decay 1", "second set", "second set, weight decay 1"),
    GROK: ("seed", "seed, weight decay 1"),
}
_VARIED: tuple[Scheme, ...] = ("seed", "seed, weight decay 1")


def sweep_runs() -> list[RunConfig]:
    """The paper's sweep: single tasks on all residues, weight decay 1 and 0, three seeds; 36 runs."""
    return [run for run in profile_runs("paper", SEEDS) if _single(run) and not run.training.nonzero]


def second_runs() -> list[RunConfig]:
    """Single-task runs of basis discovery that are not in the sweep: 60 runs of weight decay 1."""
    known = {run.run_id for run in sweep_runs()}
    return [run for run in discovery_runs() if _single(run) and run.run_id not in known]


def _single(run: RunConfig) -> bool:
    return "+" not in run.training.operation


def watch_runs(
    paths: Sequence[Path], config: WarningConfig, say: Callable[[str], None] | None = None
) -> list[WatchedRun]:
    """Read what there is to watch in each run.

    Raises:
        StoreError: a run is missing or damaged.
    """
    found = []
    for number, path in enumerate(paths, start=1):
        found.append(watch_run(TrainedRun.open(path), config))
        if say:
            say(f"{number} of {len(paths)} runs read: {path.name}")
    return found


def early_warnings(
    sweep: Sequence[WatchedRun], second: Sequence[WatchedRun], config: WarningConfig | None = None
) -> EarlyWarnings:
    """Every statistic under every scheme, as :mod:`~spectral_edge.experiments.early_warning.protocol` says.

    Args:
        sweep: runs that set thresholds and, left out in turn, are judged.
        second: further runs that are only judged; may be empty.
        config: what decides; the variants change it.

    Raises:
        ValueError: there are not enough runs that do not generalise to set a threshold.
    """
    config = config or WarningConfig()
    rows: list[WarningRow] = []
    alarms: list[AlarmRow] = []
    for variant, changes in {"": {}, **VARIANTS}.items():
        settings = config.model_copy(update=dict(changes))
        whole = variant in ("", GROK)
        for scheme in _SCHEMES if whole else _VARIED:
            judged = _all_folds(scheme, sweep, second, settings)
            contrasts = {}
            if scheme in _VARIED and whole:
                contrasts = at_equal_steps(sweep, statistics_of(settings), settings, scheme)
            rows += summarise_alarms(judged, variant, contrasts)
            alarms += judged if scheme in _STORED.get(variant, ()) else []
    protocol = {**config.model_dump(mode="json"), "variants": {name: dict(c) for name, c in VARIANTS.items()}}
    return EarlyWarnings(environment=describe_environment(), protocol=protocol, rows=rows, alarms=alarms)


def _all_folds(
    scheme: Scheme, sweep: Sequence[WatchedRun], second: Sequence[WatchedRun], config: WarningConfig
) -> list[AlarmRow]:
    statistics = statistics_of(config)
    return [row for fold in folds_of(scheme, sweep, second) for row in judge(fold, statistics, config)]
