"""Numbers as a reproduction over several seeds leaves them: of all claims, rows of seeds, rows over seeds."""

from __future__ import annotations

import itertools

import numpy as np

from spectral_edge.store.results import ClaimRow, Interval, NullSummary, Numbers
from support.synthetic import FakeAnalysis, fake_row, make_analysis

SEEDS = (42, 137, 2024)
_VALUES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str | None, float]] = {
    "C1": ("decline", ("add", "sub", "mul", "x2_y2"), (), None, 40.0),
    "C2": ("correlation", ("add", "sub", "mul", "x2_y2"), (), None, 0.8),
    "C3": ("head_purity", ("add", "sub", "mul", "x2_y2"), ("v1", "v2", "v3"), None, 0.14),
    "C4": ("peakedness", ("add",), ("v1", "v1:PC1"), "sum", 32.8),
    "C5": ("jaccard", ("add", "sub", "mul", "x2_y2"), ("v1,v2", "v1,v3", "v2,v3"), None, 0.4),
    "C6": ("concentration", ("add",), tuple(f"v{k}" for k in range(1, 9)), "sum", 0.33),
    "C7": ("concentration", ("mul", "add"), ("v1", "v2", "v3"), "discrete_log", 0.32),
    "C8": ("concentration", ("sub",), ("v1", "v2", "v3", "mean(v1..v3)", "mean(v4..v8)"), "difference", 0.16),
    "C9": ("concentration", ("x2_y2",), ("v1", "v2", "v3"), "gaussian_radial", 0.12),
    "C10": ("r2", ("add", "mul", "x2_y2"), ("v1", "v2", "v3"), "cross_terms", 0.3),
    "C11": ("concentration", ("x2_y2",), ("v1", "v2"), "sum", 0.2),
    "C12": ("sharedness", ("add", "mul"), ("v1", "v4"), None, 0.8),
    "C13": ("jaccard", ("add", "sub", "mul", "x2_y2"), ("v1+v2", "v1+v2+v3"), None, 0.3),
    "C14": ("concentration", ("add", "sub", "mul"), ("best(v1..v3)",), "sum", 0.4),
}


def make_null(generator: np.random.Generator, level: float, pvalue: float, **changes: object) -> NullSummary:
    mean = level * generator.uniform(0.4, 0.9)
    values: dict[str, object] = {
        "kind": "random_directions",
        "n": 200,
        "mean": mean,
        "std": 0.2 * mean,
        "quantile95": 1.35 * mean,
        "alternative": "greater",
        "pvalue": pvalue,
    }
    return NullSummary(**(values | changes))


def over_seeds(rows: list[ClaimRow], pvalue: float) -> ClaimRow:
    """The row that stands for ``rows``; mean and interval by the textbook formula for three values."""
    values = np.array([row.measured for row in rows])
    half = 4.302653 * values.std(ddof=1) / np.sqrt(len(values))
    null = rows[0].null
    assert null is not None
    combined = {"n": null.n * len(rows), "pvalue": pvalue, "combined": len(rows)}
    gone = ("seed", "step", "run_id", "peak", "top", "published", "published_is_upper_bound", "published_peak")
    return rows[0].model_copy(
        update=dict.fromkeys(gone)
        | {
            "seeds": sorted(row.seed for row in rows if row.seed is not None),
            "measured": float(values.mean()),
            "interval": Interval(low=values.mean() - half, high=values.mean() + half, n=len(values), method="t"),
            "null": null.model_copy(update=combined),
        }
    )


def claim_rows(claim: str, checkpoints: tuple[str, ...] = ("stop", "transition")) -> list[ClaimRow]:
    """Every quantity of a claim at the given checkpoints: its row over seeds, then that of every seed."""
    generator = np.random.default_rng(int(claim[1:]))
    statistic, tasks, directions, grouping, level = _VALUES[claim]
    rows: list[ClaimRow] = []
    for checkpoint, task, direction in itertools.product(checkpoints, tasks, directions or (None,)):
        center = level * generator.uniform(0.6, 1.3)
        pvalue = float(generator.choice([0.0001, 0.004, 0.03, 0.2, 0.7]))
        published = level if checkpoint == "stop" and direction in (None, "v1", "v1,v2", "best(v1..v3)") else None
        null = make_null(generator, level, pvalue)
        seeds = [
            fake_row(
                task, f"{task}-s{seed}", claim=claim, seed=seed, checkpoint=checkpoint, direction=direction,
                statistic=statistic, grouping=grouping, measured=center * generator.uniform(0.85, 1.15), null=null,
                published=published if seed == 42 else None, peak=26 if claim == "C6" else None,
                published_peak=26 if claim == "C6" and seed == 42 and published else None, top=None,
            )
            for seed in SEEDS
        ]  # fmt: skip
        rows += [over_seeds(seeds, pvalue), *seeds]
    return rows


def make_many_seeds(tasks: tuple[str, ...] = ("add", "sub", "mul", "x2_y2")) -> tuple[Numbers, list[FakeAnalysis]]:
    """The further numbers of three seeds of ``tasks`` and the stored analysis of every run."""
    analyses = [make_analysis(task, seed) for seed in SEEDS for task in tasks]
    rows = [row for claim in _VALUES for row in claim_rows(claim)]
    numbers = Numbers(
        profile="paper",
        environment={"git_commit": "0123456789abcdef0123", "python": "3.11.2", "cpu": "A processor", "cpu_cores": 2},
        wall_seconds=7543.0,
        runs=[analysis.summary for analysis in analyses],
        analysis={"window": 20, "stride": 100, "centered": True},
        rows=rows,
    )
    return numbers, analyses
