"""What the shared trunks say together: coincidence of peaks, and x2_y2 with one partner, both, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.null_summary import summarise
from spectral_edge.statistics import mean_interval, proportion_interval
from spectral_edge.store import Analysis, ClaimRow, Interval, NullSummary

__all__ = [
    "CLAIM",
    "EDGE",
    "FEATURES",
    "SPECTRA",
    "across_models",
    "model_name",
    "shared_frequencies",
    "synergy",
]

CLAIM = "C11"
EDGE = ("v1", "v2", "v3")
FEATURES = ("add", "mul", "both")
SPECTRA = ("sum", "discrete_log", "output:x2_y2")
_ADDITIVE = ("sum", "output:x2_y2")  # groupings whose frequencies can be compared with addition's
_TRITASK, _WITH_ADD, _WITH_MUL = "add+mul+x2_y2", "add+x2_y2", "mul+x2_y2"
_ALONE, _ADD_ALONE, _FULL_DOMAIN = "x2_y2 (nonzero)", "add (nonzero)", "x2_y2"
_BASELINES = {"nonzero": _ALONE, "full_domain": _FULL_DOMAIN}
_TOP = 3
_DRAWS = 999


def model_name(training: TrainingConfig) -> str | None:
    """What was trained, where that is more than the task: several tasks, or one on nonzero residues.

    >>> model_name(TrainingConfig(operation="add", nonzero=True)), model_name(TrainingConfig(operation="add"))
    ('add (nonzero)', None)
    """
    if len(training.operations) > 1:
        return training.operation
    return f"{training.operation} (nonzero)" if training.nonzero else None


def synergy(r2: np.ndarray) -> np.ndarray:
    """R²(both) - max(R²(add), R²(mul)), (2, 3, k) -> (2, k); sets in the order of :data:`FEATURES`."""
    return r2[:, 2] - r2[:, :2].max(axis=1)


def shared_frequencies(addition: np.ndarray, other: np.ndarray, seed: int) -> tuple[float, NullSummary, list[int]]:
    """Share of another head's three strongest frequencies that are among addition's three strongest.

    Args:
        addition: (n,) power of addition's head at frequency 1 … n.
        other: (n,) that of the other head.
        seed: of the null: three of n frequencies drawn at random.

    Returns:
        The share, its null, and the common frequencies.
    """
    strongest = [set((np.argsort(-power, kind="stable")[:_TOP] + 1).tolist()) for power in (addition, other)]
    common = strongest[0] & strongest[1]
    draws = np.random.default_rng(seed).hypergeometric(_TOP, len(other) - _TOP, _TOP, _DRAWS)
    return len(common) / _TOP, summarise(draws / _TOP, len(common) / _TOP, "combinatorial"), sorted(common)


@dataclass(frozen=True)
class _Model:
    """One analysed run that generalised."""

    name: str
    seed: int
    arrays: dict[str, np.ndarray]
    like: ClaimRow

    def shares(self, reading: str, basis: str) -> tuple[np.ndarray, np.ndarray]:
        """Shares of power (3, n) of the edge and (draws, n) of random directions."""
        key = f"shared_trunk.{reading}.{basis}"
        return self.arrays[f"{key}.edge"], self.arrays[f"{key}.random"]

    def synergies(self, reading: str) -> tuple[np.ndarray, np.ndarray]:
        """In-sample and cross-validated, (2, 3) of the edge and (2, draws) of random directions."""
        return tuple(synergy(self.arrays[f"shared_trunk.{reading}.r2.{of}"]) for of in ("edge", "random"))  # type: ignore[return-value]

    @property
    def addition(self) -> np.ndarray:
        """The three strongest frequencies of addition's head, strongest first."""
        return np.argsort(-self.arrays["shared_trunk.frequencies.head_add"], kind="stable")[:_TOP] + 1


_Models = dict[str, dict[int, _Model]]


def across_models(analyses: Sequence[Analysis]) -> list[ClaimRow]:
    """Rows over several runs: how often peaks are addition's, and what each partner changes.

    The unit is the model: its three directions are not independent. Random directions of the same models are the null
    throughout, three of them at a time as a permutation test with the edge directions among them.
    """
    models: _Models = {}
    for analysis in analyses:
        model = _read(analysis)
        if model is not None:
            models.setdefault(model.name, {})[model.seed] = model
    return [*_coincidence_rows(models), *_contrast_rows(models), *_unshared_rows(models)]


def _read(analysis: Analysis) -> _Model | None:
    rows = [row for row in analysis.rows if row.claim == CLAIM and row.checkpoint == "stop"]
    if not rows or "shared_trunk.trunk.sum.edge" not in analysis.arrays:
        return None
    like = next(row for row in rows if row.direction is not None)
    return _Model(like.model or like.task, analysis.summary.seed, analysis.arrays, like)


def _coincidence_rows(models: _Models) -> list[ClaimRow]:
    """How often an edge direction peaks at the frequency that addition's head of the same model uses.

    With an exact interval for v_1, one trial a model; the three directions of a model are not three trials.
    """
    both = {_TRITASK: ("trunk", "head_x2_y2", "head_mul"), _WITH_ADD: ("trunk", "head_x2_y2")}
    rows = []
    for reading in ("trunk", "head_x2_y2", "head_mul"):
        group = [m for name in both if reading in both[name] for m in models.get(name, {}).values()]
        for basis in _ADDITIVE if reading != "head_mul" else ("sum",):
            rows += _coincidence(group, reading, basis, "x2_y2" if reading != "head_mul" else "mul")
    return rows + _coincidence(list(models.get(_ADD_ALONE, {}).values()), "trunk", "sum", "add")


def _coincidence(group: list[_Model], reading: str, basis: str, task: str) -> list[ClaimRow]:
    if not group:
        return []
    rows = []
    for top in (1, _TOP):
        hits = [
            [np.isin(shares.argmax(axis=1) + 1, model.addition[:top]) for shares in model.shares(reading, basis)]
            for model in group
        ]
        for n, direction in ((1, "v1"), (len(EDGE), "mean(v1..v3)")):
            per_model = [float(edge[:n].mean()) for edge, _ in hits]
            draws = np.mean([_subset_means(edge[:n], random, seed) for seed, (edge, random) in enumerate(hits)], axis=0)
            measured = float(np.mean(per_model))
            rows.append(
                _row(
                    group,
                    task=task,
                    model=" | ".join(sorted({model.name for model in group})),
                    statistic=f"peak_is_addition:top{top}",
                    direction=_direction(direction, reading),
                    grouping=basis,
                    inputs="test",
                    measured=measured,
                    interval=_proportion(per_model) if n == 1 else None,
                    null=summarise(draws, measured),
                )
            )
    return rows


def _contrast_rows(models: _Models) -> list[ClaimRow]:
    """x2_y2 with partners against x2_y2 alone, paired by seed."""
    rows = []
    for partners in (_TRITASK, _WITH_ADD, _WITH_MUL):
        for label, alone in _BASELINES.items():
            seeds = sorted(set(models.get(partners, {})) & set(models.get(alone, {})))
            pairs = [(models[partners][seed], models[alone][seed]) for seed in seeds]
            for reading in ("trunk", "head_x2_y2"):
                if pairs:
                    rows += _synergy_gains(pairs, label, reading)
                known = [(pair, w) for pair in pairs if (w := _frequency(pair[0], models)) is not None]
                if known:
                    rows += [_power_ratio(known, label, reading, basis) for basis in _ADDITIVE]
    return rows


def _frequency(model: _Model, models: _Models) -> int | None:
    """Addition's strongest frequency: the model's own, or, where it has no addition, that of addition alone."""
    if "shared_trunk.frequencies.head_add" in model.arrays:
        return int(model.addition[0])
    alone = models.get(_ADD_ALONE, {}).get(model.seed)
    return None if alone is None else int(alone.addition[0])


def _power_ratio(known: list[tuple[tuple[_Model, _Model], int]], label: str, reading: str, basis: str) -> ClaimRow:
    """Ratio, with partners over alone, of the mean share of v_1 … v_3 at addition's frequency; geometric over seeds.

    Its second null is the ratio at every other frequency, counted from addition's in each seed, around the circle:
    an edge that concentrates anywhere gives large ratios somewhere.
    """
    logs, drawn, elsewhere = [], [], []
    for seed, ((shared, alone), frequency) in enumerate(known):
        edges, randoms = zip(shared.shares(reading, basis), alone.shares(reading, basis), strict=True)
        with_partner, without = (np.log(share.mean(axis=0)) for share in edges)
        logs.append(float(with_partner[frequency - 1] - without[frequency - 1]))
        elsewhere.append(np.roll(with_partner - without, -(frequency - 1))[1:])
        both = [
            np.log(_subset_means(edge[:, frequency - 1], random[:, frequency - 1], 2 * seed + i))
            for i, (edge, random) in enumerate(zip(edges, randoms, strict=True))
        ]
        drawn.append(both[0] - both[1])
    measured = float(np.exp(np.mean(logs)))
    frequencies = {frequency for _, frequency in known}
    return _row(
        [shared for (shared, _), _ in known],
        statistic=f"power_share_ratio:{label}",
        direction=_direction("mean(v1..v3)", reading),
        grouping=basis,
        inputs="test",
        measured=measured,
        interval=_mean(logs, np.exp),
        peak=frequencies.pop() if len(frequencies) == 1 else None,
        null=summarise(np.exp(np.mean(drawn, axis=0)), measured),
        further_nulls=[summarise(np.exp(np.mean(elsewhere, axis=0)), measured, "random_features")],
    )


def _synergy_gains(pairs: list[tuple[_Model, _Model]], label: str, reading: str) -> list[ClaimRow]:
    """Difference, with partners minus alone, of the mean synergy of v_1 … v_3; in sample and cross-validated."""
    rows = []
    for i, statistic in enumerate(("synergy_gain", "synergy_cross_validated_gain")):
        gains, drawn = [], []
        for seed, pair in enumerate(pairs):
            found = [tuple(part[i] for part in model.synergies(reading)) for model in pair]
            gains.append(float(found[0][0].mean() - found[1][0].mean()))
            both = [_subset_means(edge, random, 2 * seed + j) for j, (edge, random) in enumerate(found)]
            drawn.append(both[0] - both[1])
        measured = float(np.mean(gains))
        rows.append(
            _row(
                [shared for shared, _ in pairs],
                statistic=f"{statistic}:{label}",
                direction=_direction("mean(v1..v3)", reading),
                grouping="both",
                inputs="all",
                measured=measured,
                interval=_mean(gains),
                null=summarise(np.mean(drawn, axis=0), measured),
            )
        )
    return rows


def _unshared_rows(models: _Models) -> list[ClaimRow]:
    """Frequencies common to x2_y2 alone and addition alone of the same seed: the same draws, but no common trunk."""
    seeds = sorted(set(models.get(_ALONE, {})) & set(models.get(_ADD_ALONE, {})))
    if not seeds:
        return []
    found = [
        shared_frequencies(
            models[_ADD_ALONE][seed].arrays["shared_trunk.frequencies.head_add"],
            models[_ALONE][seed].arrays["shared_trunk.frequencies.head_x2_y2"],
            seed,
        )[0]
        for seed in seeds
    ]
    n = len(models[_ALONE][seeds[0]].arrays["shared_trunk.frequencies.head_x2_y2"])
    draws = np.random.default_rng(0).hypergeometric(_TOP, n - _TOP, _TOP, (_DRAWS, len(seeds))).mean(axis=1) / _TOP
    return [
        _row(
            [models[_ALONE][seed] for seed in seeds],
            model="add (nonzero), x2_y2 (nonzero)",
            statistic="shared_frequencies:add:unshared",
            stride=None,
            window=None,
            centered=None,
            method=None,
            measured=float(np.mean(found)),
            interval=_mean(found),
            null=summarise(draws, float(np.mean(found)), "combinatorial"),
        )
    ]


def _subset_means(edge: np.ndarray, random: np.ndarray, seed: int) -> np.ndarray:
    """Means of as many values as ``edge`` has, drawn from edge and random values together, (draws,)."""
    pool = np.concatenate([edge, random]).astype(np.float64)
    order = np.random.default_rng((seed, len(edge))).random((_DRAWS, len(pool))).argsort(axis=1)
    return pool[order[:, : len(edge)]].mean(axis=1)


def _row(group: Sequence[_Model], **fields: object) -> ClaimRow:
    like = group[0].like
    given = {
        "claim": CLAIM,
        "task": "x2_y2",
        "model": like.model,
        "seeds": sorted({model.seed for model in group}),
        "weight_decay": like.weight_decay,
        "checkpoint": like.checkpoint,
        "stride": like.stride,
        "window": like.window,
        "centered": like.centered,
        "method": like.method,
    }
    return ClaimRow.model_validate(given | fields)


def _direction(name: str, reading: str) -> str:
    return name if reading == "trunk" else f"{name}:{reading}"


def _mean(values: list[float], transform: Callable[[float], float] = float) -> Interval | None:
    if len(values) < 2:
        return None
    low, high = mean_interval(values)
    return Interval(low=float(transform(low)), high=float(transform(high)), n=len(values), method="t")


def _proportion(values: list[float]) -> Interval:
    low, high = proportion_interval(int(sum(values)), len(values))
    return Interval(low=low, high=high, n=len(values), method="exact")
