"""C2: do the spectra of updates, of displacements and of the weights themselves agree in time?

Rank correlations of pairs of series within a run, of levels and of increments, beside circular shifts and other runs;
and sigma_1/sigma_2 of W_Q and W_K while memorising, at the stop and at the end of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_edge.replication.claims.c01_gap import GAP_WINDOW
from spectral_edge.replication.null_summary import summarise
from spectral_edge.replication.spectra.history import PREFIX, UpdateWindows, settings_of
from spectral_edge.replication.spectra.run_contrast import ContrastRun, contrast_row, matched_step, value_at
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.spectrum import random_gap_ratios, update_gram
from spectral_edge.statistics import circular_shift_pvalue, rank_correlation
from spectral_edge.store import Analysis, Checkpoint, ClaimRow
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["alignment_across", "alignment_rows"]

Floats = NDArray[np.float64]

# Two series of a run; the paper's account has all ratios rise together while g23 falls.
_PAIRS = (
    ("gap_ratio", "displacement"),
    ("gap_ratio", "W_Q"),
    ("gap_ratio", "W_K"),
    ("g23", "displacement"),
    ("g23", "W_Q"),
    ("g23", "W_K"),
    ("displacement", "W_Q"),
    ("displacement", "W_K"),
)
_DRAWS = 1_999
_SEED = 0


def alignment_rows(run: TrainedRun, arrays: Mapping[str, np.ndarray], config: AnalysisConfig) -> list[ClaimRow]:
    """Agreement of the three spectra over time, degeneracy of W_Q and W_K, and the share of the displacement's PCs.

    The agreement of two series is a rank correlation beside circular shifts. ``rank_correlation`` of the series
    themselves is small only against stationary series: any two trends agree. ``rank_correlation:increments`` is of
    their changes from snapshot to snapshot, which have no common trend.
    """
    common: dict[str, Any] = {
        "claim": "C2",
        "task": run.training.operation,
        "seed": run.training.seed,
        "weight_decay": run.training.weight_decay,
        "run_id": run.config.run_id,
    }
    rows = []
    setting = UpdateWindows(config.window, config.stride)
    if setting in settings_of(arrays):
        series = _series(arrays, setting)
        shared = common | {"stride": setting.stride, "window": setting.window, "centered": False}
        for first, second in _PAIRS:
            for statistic, x, y in (
                ("rank_correlation", series[first], series[second]),
                ("rank_correlation:increments", np.diff(series[first]), np.diff(series[second])),
            ):
                if len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0:
                    rho, null = circular_shift_pvalue(x, y)
                    summary = summarise(null.samples, rho, "circular_shift", "less" if first == "g23" else "greater")
                    fields = shared | {"statistic": statistic, "grouping": f"{first}~{second}"}
                    rows.append(ClaimRow(**fields, measured=rho, null=summary))
    last: Checkpoint = "final" if run.stop_step is None else "stop"
    checkpoints: tuple[Checkpoint, ...] = (
        ("memorisation", "stop", "final") if last == "stop" else ("memorisation", last)
    )
    for checkpoint in checkpoints:
        step = run.step_of(checkpoint, config.window)
        if step is not None:
            here = common | {"checkpoint": checkpoint, "step": step}
            rows += _degeneracy(arrays, config, here) + ([] if checkpoint != last else _pc_shares(arrays, config, here))
    return rows


def _series(arrays: Mapping[str, np.ndarray], setting: UpdateWindows) -> dict[str, Floats]:
    """The compared series at the steps where windows of the setting end."""
    steps = arrays[f"{setting.key}steps"]
    displaced = arrays[f"{PREFIX}displacement.singular_values"]
    found = {
        "gap_ratio": arrays[f"{setting.key}gap_ratio"],
        "g23": arrays[f"{setting.key}g23"],
        "displacement": (displaced[1:, 0] / displaced[1:, 1])[
            np.isin(arrays[f"{PREFIX}displacement.steps"][1:], steps)  # a single displacement has no second direction
        ],
    }
    for letter in ("W_Q", "W_K"):  # geometric mean over layers
        ratios = [_gap_ratio(arrays, name) for name in _matrices(arrays) if name.endswith(letter)]
        found[letter] = np.exp(np.mean(np.log(ratios), axis=0))[np.isin(arrays[f"{PREFIX}weights.steps"], steps)]
    return found


def _matrices(arrays: Mapping[str, np.ndarray]) -> list[str]:
    names = (name.removeprefix(f"{PREFIX}weights.").removesuffix(".singular_values") for name in sorted(arrays))
    return [name for name in names if name.startswith("layer") and name.endswith(("W_Q", "W_K"))]


def _gap_ratio(arrays: Mapping[str, np.ndarray], matrix: str) -> Floats:
    sigma = arrays[f"{PREFIX}weights.{matrix}.singular_values"]
    return sigma[:, 0] / sigma[:, 1]


def _degeneracy(arrays: Mapping[str, np.ndarray], config: AnalysisConfig, fields: dict[str, Any]) -> list[ClaimRow]:
    """sigma_1 / sigma_2 of W_Q and W_K beside random matrices, whose ratio is close to 1 as well.

    Before grokking the claim is that the ratio is *small*: the null asks whether it is smaller than a random
    matrix's. Afterwards it is that the ratio is large.
    """
    rows = []
    before = fields["checkpoint"] == "memorisation"
    for name in _matrices(arrays):
        measured = value_at(arrays[f"{PREFIX}weights.steps"], _gap_ratio(arrays, name), fields["step"])
        if measured is None:
            continue
        width = int(arrays[f"{PREFIX}weights.width"][0])
        null = random_gap_ratios(width, width, config.random_directions, config.seed)
        summary = summarise(null, measured, "untrained", "less" if before else "greater")
        rows.append(ClaimRow(**fields, direction=name, statistic="weight_gap_ratio", measured=measured, null=summary))
    return rows


def _pc_shares(arrays: Mapping[str, np.ndarray], config: AnalysisConfig, fields: dict[str, Any]) -> list[ClaimRow]:
    """Share of PC 1 and 2 of the displacements up to a step, beside a random walk of the same updates.

    The walk gives each update a random sign: lengths and angles up to sign stay, persistence goes.
    """
    steps = arrays[f"{PREFIX}displacement.steps"]
    until = int((steps <= fields["step"]).sum())
    if f"{PREFIX}displacement.gram" not in arrays or until < 3:
        return []
    updates = update_gram(arrays[f"{PREFIX}displacement.gram"][:until, :until])
    signs = np.random.default_rng(config.seed).choice([-1.0, 1.0], size=(config.random_directions, until))
    walks = (updates * signs[:, :, None] * signs[:, None, :]).cumsum(axis=1).cumsum(axis=2)
    power = np.linalg.eigvalsh(walks)[:, ::-1]
    shares = power[:, :2] / power.sum(axis=1, keepdims=True)
    measured = arrays[f"{PREFIX}displacement.explained_variance"][until - 1]
    return [
        ClaimRow(
            **fields,
            stride=config.stride,
            centered=False,
            direction=f"pc{k + 1}",
            statistic="explained_variance",
            measured=float(measured[k]),
            null=summarise(shares[:, k], float(measured[k]), "random_walk"),
        )
        for k in range(2)
    ]


def alignment_across(analyses: Sequence[Analysis]) -> list[ClaimRow]:
    """Whether a run's spectra agree with each other better than with those of other runs, and W_Q, W_K with controls.

    ``rank_correlation:same_run``: mean over the runs that grokked of the correlation of one series of a run with
    another series of the same run; the null pairs series of different runs, which share the course of training but
    not the moment at which they grok.
    """
    runs = ContrastRun.all_of(analyses, f"{PREFIX}weights.width")
    if not runs:
        return []
    rows = _same_run([run for run in runs if run.grokked])
    stops: list[int | None] = [matched_step(run, runs, "stop_step") for run in runs]
    shared_end: list[int | None] = [min((run.summary.steps for run in runs), default=0)] * len(runs)
    decays = {run.summary.weight_decay for run in runs if run.grokked}
    for grouping, steps in (("weight_gap_ratio:matched", stops), ("weight_gap_ratio:end", shared_end)):
        for name in _matrices(runs[0].arrays):
            values = [
                value_at(run.arrays[f"{PREFIX}weights.steps"], _gap_ratio(run.arrays, name), step)
                for run, step in zip(runs, steps, strict=True)
            ]
            inside = [v if run.summary.weight_decay in decays else None for run, v in zip(runs, values, strict=True)]
            fields = {"claim": "C2", "direction": name, "grouping": grouping}
            found = (
                contrast_row(runs, values, fields | {"statistic": "auc"}),
                contrast_row(runs, inside, fields | {"statistic": "auc:same_weight_decay"}),
            )
            rows += [row for row in found if row is not None]
    return rows


def _same_run(runs: list[ContrastRun]) -> list[ClaimRow]:
    settings = [{s for s in settings_of(run.arrays) if s.window != GAP_WINDOW and s.stride > 1} for run in runs]
    shared = sorted(set.intersection(*settings), key=lambda s: s.stride) if len(runs) > 2 else []
    if not shared:
        return []
    setting = shared[0]
    length = min(len(run.arrays[f"{setting.key}steps"]) for run in runs)  # all begin with the first full window
    series = [{name: values[:length] for name, values in _series(run.arrays, setting).items()} for run in runs]
    rng = np.random.default_rng(_SEED)
    orders = np.stack([rng.permutation(len(runs)) for _ in range(_DRAWS)])
    rows = []
    for first, second in _PAIRS:
        if length < 3 or any(np.ptp(s[name]) == 0 for s in series for name in (first, second)):
            continue
        rho = np.array([[rank_correlation(one[first], other[second]) for other in series] for one in series])
        measured = float(rho.diagonal().mean())
        null = rho[np.arange(len(runs)), orders].mean(axis=1)
        # The identity is among the draws: without this its sum, in another order, might miss the tie.
        null[(orders == np.arange(len(runs))).all(axis=1)] = measured
        rows.append(
            ClaimRow(
                claim="C2",
                task="all",
                seeds=sorted({run.summary.seed for run in runs}),
                stride=setting.stride,
                window=setting.window,
                centered=False,
                statistic="rank_correlation:same_run",
                grouping=f"{first}~{second}",
                measured=measured,
                null=summarise(null, measured, "label_permutation", "less" if first == "g23" else "greater"),
            )
        )
    return rows
