"""A plausible stored analysis, drawn from a seed: white-noise spectra with one planted frequency per task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectral_edge.store.results import ClaimRow, Claims, NullSummary, PeakNull, RunSummary, Verdict

P = 97
GROUPINGS = {
    "add": {"sum": 97, "difference": 97, "discrete_log": 96},
    "sub": {"sum": 97, "difference": 97},
    "mul": {"output:mul": 97, "discrete_log": 96, "discrete_log_difference": 96},
    "x2_y2": {"output:x2_y2": 97, "output_discrete_log:x2_y2": 96, "gaussian_radial": 96},
}
PLANTED = {"sum": 26, "difference": 16, "discrete_log": 29}
PUBLISHED = {
    ("add", "sum"): (0.33, 26),
    ("sub", "difference"): (0.16, 16),
    ("mul", "discrete_log"): (0.32, 29),
}
COORDINATES = {"mul": {"additive": 97, "discrete_log": 96}, "x2_y2": {"additive": 97, "gaussian": 96}}


@dataclass(frozen=True)
class FakeAnalysis:
    rows: list[ClaimRow]
    summary: RunSummary
    arrays: dict[str, np.ndarray]


def _power(generator: np.random.Generator, rows: int, n: int, planted: int | None) -> np.ndarray:
    power = generator.exponential(size=(rows, n))
    if planted is not None:
        power[:, planted - 1] += np.linspace(22, 2, rows)
    return power / power.sum(axis=1, keepdims=True)


def _signed(generator: np.random.Generator, rows: int, order: int, planted: int | None) -> np.ndarray:
    shares = generator.exponential(size=(rows, order, order)) ** 2
    if planted is not None:
        shares[:, planted, planted] = shares[:, -planted, -planted] = 3e3
    shares = shares + np.roll(shares[:, ::-1, ::-1], 1, axis=(1, 2))
    shares[:, 0, 0] = 0
    return shares / shares.sum(axis=(1, 2), keepdims=True)


def _spectrum(generator: np.random.Generator, count: int, stride: int) -> dict[str, np.ndarray]:
    progress = np.linspace(0, 1, count)[:, None]
    decay = np.exp(-0.25 * np.arange(20))[None, :] * (1 + 6 * np.exp(-8 * progress))
    noise = np.exp(0.08 * generator.standard_normal((count, 20)))
    values = -np.sort(-(decay * noise * stride**0.7 * 0.1), axis=1)
    return {
        f"spectrum.stride{stride}.steps": np.linspace(20 * stride, 4000, count).astype(np.int64),
        f"spectrum.stride{stride}.singular_values": values.astype(np.float32),
    }


def _metrics() -> dict[str, np.ndarray]:
    step = np.arange(0, 4001, 100)
    return {
        "metrics.step": step,
        "metrics.train_accuracy": 1 / (1 + np.exp(-(step - 400) / 120)),
        "metrics.test_accuracy": 1 / (1 + np.exp(-(step - 2200) / 250)),
        "metrics.train_loss": 4.6 * np.exp(-step / 500),
        "metrics.test_loss": 4.6 * np.exp(-step / 2500),
    }


def _maps(generator: np.random.Generator, task: str) -> dict[str, np.ndarray]:
    a, b = np.meshgrid(np.arange(P), np.arange(P), indexing="ij")
    wave = {"sub": (a - b) * 16, "add": (a + b) * 26}.get(task, a * b)
    energy = 1.2 + np.cos(2 * np.pi * wave / P) + generator.exponential(0.6, (3, P, P))
    random = generator.exponential(size=(1, P, P))
    if task == "mul":
        energy[:, 0], energy[:, :, 0], random[:, 0], random[:, :, 0] = (np.nan,) * 4
    maps = {"energy.stop": energy, "energy_random.stop": random}
    for coordinate, order in COORDINATES.get(task, {"additive": 97}).items():
        planted = {("add", "additive"): 26, ("mul", "discrete_log"): 29}.get((task, coordinate))
        maps[f"character.stop.{coordinate}"] = _signed(generator, 3, order, planted)
        maps[f"character_random.stop.{coordinate}"] = _signed(generator, 1, order, None)
    return maps


def fake_row(task: str, run_id: str, **changes: object) -> ClaimRow:
    values: dict[str, object] = {
        "claim": "C6",
        "task": task,
        "seed": 42,
        "weight_decay": 1.0,
        "checkpoint": "stop",
        "step": 4000,
        "stride": 100,
        "window": 20,
        "centered": True,
        "method": "jvp",
        "direction": "v1",
        "statistic": "concentration",
        "grouping": "sum",
        "inputs": "test",
        "measured": 0.12345,
        "peak": 26,
        "top": [26, 12, 25],
        "published": None,
        "published_is_upper_bound": None,
        "published_peak": None,
        "null": None,
        "permutation_null": None,
        "peak_null": None,
        "permutation_peak_null": None,
        "run_id": run_id,
    }
    return ClaimRow(**(values | changes))


def _profile_row(task: str, run_id: str, grouping: str, index: int, power: np.ndarray, null: np.ndarray) -> ClaimRow:
    best = null.max(axis=1)
    pvalue = float((np.sum(best >= power.max()) + 1) / (len(best) + 1))
    summary = {
        "n": len(best),
        "mean": float(best.mean()),
        "std": float(best.std()),
        "quantile95": float(np.quantile(best, 0.95)),
        "alternative": "greater",
        "pvalue": pvalue,
        "pvalue_adjusted": min(1.0, 2 * pvalue),
    }
    published, published_peak = PUBLISHED.get((task, grouping), (None, None)) if index == 0 else (None, None)
    same = int(np.sum(null.argmax(axis=1) == power.argmax()))
    return fake_row(
        task,
        run_id,
        direction=f"v{index + 1}",
        grouping=grouping,
        measured=float(power.max()),
        peak=int(power.argmax()) + 1,
        top=[int(place) + 1 for place in np.argsort(-power)[:3]],
        published=published,
        published_peak=published_peak,
        null=NullSummary(kind="random_directions", **summary),
        permutation_null=NullSummary(kind="input_permutation", **summary),
        peak_null=PeakNull(kind="random_directions", n=200, same=same, pvalue=(same + 1) / 201, pvalue_adjusted=None),
    )


def make_analysis(task: str, seed: int = 42) -> FakeAnalysis:
    generator = np.random.default_rng([seed, len(task), ord(task[-1])])
    run_id = f"{generator.integers(16**12):012x}"
    arrays = _metrics() | _spectrum(generator, 21, 100) | _spectrum(generator, 800, 1) | _maps(generator, task)
    rows = []
    for grouping, order in GROUPINGS.get(task, {f"output:{task}": 97}).items():
        power = _power(generator, 8, order // 2, PLANTED.get(grouping))
        null = _power(generator, 200, order // 2, None)
        arrays[f"profile.stop.{grouping}.power"] = power
        arrays[f"profile.stop.{grouping}.null"] = null
        rows += [_profile_row(task, run_id, grouping, index, power[index], null) for index in range(8)]
    summary = RunSummary(
        run_id=run_id,
        task=task,
        seed=seed,
        weight_decay=1.0,
        steps=4000,
        grok_step=3800,
        test_accuracy=0.9921,
        analysed_steps={"transition": 2200, "stop": 4000},
        edge_position={"transition": 2, "stop": 1},
        finite_difference_error={"transition": [0.01, 0.02], "stop": [0.03, 0.04]},
    )
    return FakeAnalysis(rows, summary, arrays)


VERDICTS = [
    Verdict(
        claim="C1",
        statement="The gap g₂₃ declines before grokking and not in controls.",
        reproduces=True,
        survives_null=None,
        because="Decline 41× in 1 of 1 grokking run (published 15–110×); controls were not run.",
    ),
    Verdict(
        claim="C6",
        statement="In addition every edge direction drives one Fourier mode of a + b.",
        reproduces=True,
        survives_null=True,
        because="F of v1 is 0.35 at ω = 26 (published 0.33 at 26); random directions reach 0.14, p = 0.01.",
    ),
    Verdict(
        claim="C7",
        statement="Multiplication becomes one mode after the discrete logarithm.",
        reproduces=True,
        survives_null=False,
        because="F of v1 is 0.31 (published 0.32), yet random directions reach 0.36: p = 0.42.",
    ),
    Verdict(
        claim="C9",
        statement="No basis of the five concentrates a² + b².",
        reproduces=False,
        survives_null=False,
        because="The best F is 0.12 (published 0.10–0.15), within the null's 0.09–0.15.",
    ),
]


def make_claims(analyses: list[FakeAnalysis], verdicts: list[Verdict] = VERDICTS) -> Claims:
    return Claims(
        schema=1,
        profile="quick",
        environment={"python": "3.11.2", "torch": "2.13.0", "threads": 4, "deterministic": True, "gpu": None},
        wall_seconds=754.2,
        runs=[analysis.summary for analysis in analyses],
        rows=[row for analysis in analyses for row in analysis.rows],
        verdicts=verdicts,
    )
