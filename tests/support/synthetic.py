"""A plausible stored analysis, drawn from a seed: white-noise spectra with one planted frequency per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spectral_edge.store import (
    Answer,
    ClaimRow,
    Claims,
    Effect,
    EvidenceRow,
    NullSummary,
    Numbers,
    PeakNull,
    PlacedNumber,
    RunSummary,
    Spread,
    TaskAnswer,
)

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
        peak_null=PeakNull(kind="random_directions", n=200, same=same, pvalue=(same + 1) / 201),
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
        edge_setting={"stride": 100, "window": 20, "centered": True},
        analysed_steps={"transition": 2200, "stop": 4000},
        edge_position={"transition": 2, "stop": 1},
        finite_difference_error={"transition": [0.01, 0.02], "stop": [0.03, 0.04]},
    )
    return FakeAnalysis(rows, summary, arrays)


def make_summary(
    task: str, seed: int, weight_decay: float = 1.0, grok: int | None = None, protocol: dict[str, Any] | None = None
) -> RunSummary:
    """Of a run of 5000 steps that meets the stopping rule 200 steps after ``grok``, if it does at all."""
    return RunSummary(
        run_id=f"{task}-s{seed}-wd{weight_decay}",
        task=task,
        seed=seed,
        weight_decay=weight_decay,
        steps=5000,
        grok_step=grok,
        stop_step=None if grok is None else grok + 200,
        test_accuracy=0.5,
        protocol=protocol or {},
    )


def make_effect(null: str, effect: float, half: float = 0.03, answer: str = "no") -> Effect:
    return Effect(null=null, effect=effect, low=effect - half, high=effect + half, n=30, answer=answer)


def make_answer(claim: str, statement: str = "It is so", **changes: object) -> Answer:
    """An answer in one task, undecided, with four nulls."""
    effects = [make_effect("isotropic", 0.2, answer="yes"), make_effect("weights", 0.04, answer="undecided")]
    task = TaskAnswer(
        task="add", statistic="concentration", grouping="sum", inputs="test_off_diagonal", checkpoint="stop",
        direction="edge", definition="text", margin=0.055, unit="F", reproduces="no", exists="yes",
        specific="undecided", strongest_null="weights", published=0.33, effects=effects,
        existence=make_effect("inputs", 0.3, answer="yes"),
        beyond_weights=make_effect("weights", 0.1, answer="yes"),
    )  # fmt: skip
    values: dict[str, object] = {
        "reproduces": "no", "exists": "yes", "specific": "undecided", "effect": 0.04, "low": 0.01, "high": 0.07,
        "n": 30,
        "repeat": 0.91, "repeat_of": "undecided", "strongest_null": "weights",
        "because": "Over 30 seeds the excess over weights is 0.04.",
        "unit": "F", "planned": 30, "tasks": [task],
    }  # fmt: skip
    return Answer(claim=claim, statement=statement, **(values | changes))


ANSWERS = [
    make_answer("C1", "The gap g₂₃ declines before grokking and not in controls", reproduces=None, exists="no"),
    make_answer("C6", "In addition every edge direction drives one Fourier mode of a + b", specific="yes"),
    make_answer("C7", "Multiplication becomes one mode after the discrete logarithm", specific="no"),
    make_answer("C13", "Mixtures", reproduces=None, exists=None, specific=None, effect=None, low=None, high=None, n=0,
                planned=0, repeat=None, repeat_of=None, strongest_null=None, unit=None, tasks=[],
                because="It has no number."),
]  # fmt: skip


def make_numbers(analyses: list[FakeAnalysis]) -> Numbers:
    return Numbers(
        profile="quick",
        environment={"python": "3.11.2", "torch": "2.13.0", "threads": 4, "deterministic": True, "gpu": None},
        wall_seconds=754.2,
        runs=[analysis.summary for analysis in analyses],
        rows=[row for analysis in analyses for row in analysis.rows],
    )


def make_placed(measured: float = 0.2, low: float = 0.1, high: float = 0.4, **changes: object) -> PlacedNumber:
    values: dict[str, object] = {"task": "add", "statistic": "concentration", "grouping": "sum", "direction": "v1"}
    values |= {"inputs": "test_off_diagonal", "n": 30, "mean": 0.2, "low": low, "high": high, "logarithmic": True}
    return PlacedNumber(run="add-s42-0", seed=42, measured=measured, spread=Spread(**(values | changes)))


def make_evidence(**changes: object) -> EvidenceRow:
    values: dict[str, object] = {
        "claim": "C6", "run": "add-s42-0", "task": "add", "seed": 42, "copy": 0, "weight_decay": 1.0, "step": 3300,
        "checkpoint": "stop", "stride": 100, "window": 20, "centered": True, "method": "jvp", "definition": "text",
        "grouping": "sum", "inputs": "test_off_diagonal", "direction": "v1", "statistic": "concentration",
        "null": "isotropic", "measured": 0.4, "null_mean": 0.2, "null_std": 0.1, "null_quantile95": 0.35, "effect": 2.0,
        "pvalue": 1 / 61, "pvalue_adjusted": 1 / 61, "draws": 60, "peak": 26, "published": 0.33,
    }  # fmt: skip
    return EvidenceRow(**(values | changes))


def make_claims(answers: list[Answer] = ANSWERS, **changes: object) -> Claims:
    values: dict[str, object] = {
        "profile": "quick", "protocol": "0123456789ab", "environment": {}, "wall_seconds": 754.2, "answers": answers,
        "rows": [make_evidence()],
        "placed": [make_placed(), make_placed(0.9, statistic="stop_step", grouping=None, direction=None)],
    }  # fmt: skip
    return Claims(**(values | changes))
