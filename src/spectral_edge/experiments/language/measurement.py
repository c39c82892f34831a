"""Train one seed's language models and measure, at each checkpoint, what its edges explain and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spectral_edge.comparison import ComponentShare, Covariates, compare
from spectral_edge.experiments.language.corpus import Rewrite, code, encoded, probe, prose, sample
from spectral_edge.experiments.language.features import general_features
from spectral_edge.experiments.language.model import CharacterModel
from spectral_edge.experiments.language.plants import PLANTS, Plant, unchanged
from spectral_edge.language import explained_change, token_log_probabilities
from spectral_edge.recording import Recorder, watch

__all__ = ["ARMS", "LanguageConfig", "measure_seed"]

ARMS = ("base", "code", "none", *PLANTS)
"""Training on prose; then, from its end, on code, on more prose, and on more prose in which something is planted."""

Rows = list[dict[str, Any]]

_NULLS = ("isotropic", "span", "weights", "inputs")


class LanguageConfig(BaseModel):
    """Sizes of the evidence; the defaults are those of ``results/language``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    d_model: int = 144
    layers: int = 4
    heads: int = 4
    length: int = 96
    batch: int = 16
    weight_decay: float = 0.1
    base_rate: float = 1e-3
    tuned_rate: float = 3e-4
    base_checkpoints: tuple[int, ...] = (100, 300, 600, 1000)
    tuned_checkpoints: tuple[int, ...] = (100, 300)
    window: int = 20
    every: int = 5
    k: int = 3
    sets: int = 6
    """Random sets of k directions that R² is held against."""
    draws: int = 39
    """Of each null of a reading: p is at least 1/40."""
    passages: int = 2
    """Of each held-out document."""
    documents: int = 26
    """Held-out documents, at most."""


def measure_seed(out: Path, seed: int, config: LanguageConfig) -> None:
    """Train and measure all arms of a seed into ``out/measured``; what is there already is not done again.

    Two tables an arm, ``<seed>.<arm>.explained.parquet`` and ``….readings.parquet``, and the end of training on prose,
    ``out/base/<seed>.safetensors``.

    Raises:
        StoreError: a file cannot be written.
    """
    torch.set_num_threads(1)
    measured, base = out / "measured", out / "base" / f"{seed}.safetensors"
    for folder in (measured, base.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for arm in ARMS:
        paths = {kind: measured / f"{seed}.{arm}.{kind}.parquet" for kind in ("explained", "readings")}
        if all(path.exists() for path in paths.values()) and base.exists():
            continue
        model = _model(seed, config)
        if arm != "base":
            model.load_state_dict(load_file(base))
        tables = _run_arm(model, arm, seed, config)
        if arm == "base":
            save_file(model.state_dict(), base)
        for kind, rows in tables.items():
            _write(paths[kind], [{"seed": seed, "arm": arm} | row for row in rows])


def _write(path: Path, rows: Rows) -> None:
    import polars

    polars.DataFrame(rows, infer_schema_length=None).write_parquet(path)


def _model(seed: int, config: LanguageConfig) -> CharacterModel:
    torch.manual_seed(seed)
    return CharacterModel(config.d_model, config.layers, config.heads, config.length)


def _run_arm(model: nn.Module, arm: str, seed: int, config: LanguageConfig) -> dict[str, Rows]:
    documents = (code() if arm == "code" else prose()).train
    rewrite: Rewrite = PLANTS[arm].rewrite if arm in PLANTS else unchanged
    generator = np.random.default_rng([seed, ARMS.index(arm)])
    tables: dict[str, Rows] = {"explained": [], "readings": []}
    for step, recorder in _trained(
        model, arm, config, lambda: sample(documents, config.batch, config.length, generator, rewrite)
    ):
        at = {"step": step}
        tables["explained"] += [at | row for row in _explained(model, recorder, arm, seed, config)]
        tables["readings"] += [at | row for row in _readings(model, recorder, arm, seed, config)]
    return tables


def _trained(
    model: nn.Module, arm: str, config: LanguageConfig, draw: Callable[[], Tensor]
) -> Iterator[tuple[int, Recorder]]:
    """Train, stopping at each checkpoint."""
    checkpoints = config.base_checkpoints if arm == "base" else config.tuned_checkpoints
    rate = config.base_rate if arm == "base" else config.tuned_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=config.weight_decay)
    settings = {"parameters": "attention", "window": config.window, "every": config.every}
    with watch(model, optimizer, decay=True, verbose=False, **settings) as recorder:  # type: ignore[arg-type]
        for step in range(1, checkpoints[-1] + 1):
            ids = draw()
            loss = nn.functional.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step in checkpoints:
                yield step, recorder


def _held_out(arm: str, seed: int, config: LanguageConfig, rewrite: Rewrite = unchanged) -> tuple[list[str], list[int]]:
    documents = (code() if arm == "code" else prose()).held_out[: config.documents]
    return probe(documents, config.passages, config.length, np.random.default_rng([seed, 99]), rewrite)


def _explained(
    model: nn.Module, recorder: Recorder, arm: str, seed: int, config: LanguageConfig
) -> Iterator[dict[str, Any]]:
    """R² and gains for edges as they are, centred, and of both parts of the updates."""
    rewrite = PLANTS[arm].rewrite if arm in PLANTS else unchanged
    ids = encoded(_held_out(arm, seed, config, rewrite)[0])
    whole = recorder.edge(center=False)
    edges = {
        "update": whole,
        "centred": recorder.edge(center=True),
        "gradient": recorder.edge(center=False, of="gradient"),
        "decay": recorder.edge(center=False, of="decay"),
    }
    for name, edge in edges.items():
        k = min(config.k, edge.identifiable)
        found = explained_change(
            model, whole, ids, forward=token_log_probabilities, parameters=recorder.parameters,
            directions=edge.directions(k), seed=seed, draws=config.sets if name == "update" else 2,
        )  # fmt: skip
        for kind, table in (
            ("r2", found.table.rename({"r2": "value"})),
            ("gain", found.gains.rename({"gain": "value"})),
        ):
            for row in table.select("by", "value", "low", "high").iter_rows(named=True):
                yield {"edge": name, "kind": kind, "k": k, "size": found.size} | row


def _readings(
    model: nn.Module, recorder: Recorder, arm: str, seed: int, config: LanguageConfig
) -> Iterator[dict[str, Any]]:
    """v1 as it is, read by general features on the arm's own text, and by each plant's marks on planted text.

    Marks are read where they were planted and in the arm without a plant: there nothing may be found.
    """
    if arm in ("base", "code", "none"):
        passages, owners = _held_out(arm, seed, config)
        statistics = {"general": Covariates(general_features(passages), owners), "one function": ComponentShare(1)}
        yield from _compared(model, recorder, passages, statistics, seed, config)
    plants: Mapping[str, Plant] = PLANTS if arm == "none" else {arm: PLANTS[arm]} if arm in PLANTS else {}
    for name, plant in plants.items():
        passages, owners = _held_out(arm, seed, config, plant.rewrite)
        marks = np.concatenate([plant.marked(passage)[1:] for passage in passages])[:, None]
        yield from _compared(model, recorder, passages, {f"planted: {name}": Covariates(marks, owners)}, seed, config)


def _compared(
    model: nn.Module,
    recorder: Recorder,
    passages: list[str],
    statistics: dict[str, Any],
    seed: int,
    config: LanguageConfig,
) -> Iterator[dict[str, Any]]:
    found = compare(
        model, recorder.edge(center=False), encoded(passages), statistics, parameters=recorder.parameters,
        forward=token_log_probabilities, k=1, draws=config.draws, seed=seed, quiet=True,
        nulls=_NULLS,
    )  # fmt: skip
    columns = ("statistic", "null", "measured", "null_mean", "null_std", "effect", "pvalue", "draws")
    yield from found.table.select(columns).iter_rows(named=True)
