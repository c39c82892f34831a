"""Train one seed's language models and measure what the edge of each window explains, and what can be read of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from spectral_edge.comparison import Covariates, Span, compare
from spectral_edge.experiments.language.corpus import Rewrite, code, encoded, probe, prose, sample
from spectral_edge.experiments.language.features import text_features
from spectral_edge.experiments.language.model import CharacterModel
from spectral_edge.experiments.language.plants import PLANTS, unchanged
from spectral_edge.language import explained_change, token_log_probabilities
from spectral_edge.parameters import select_parameters
from spectral_edge.recording import Recorder, watch
from spectral_edge.replication.decision.tables import write_table
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.store import decode_tensors, encode_tensors, make_folder, read_file, write_atomically

__all__ = ["ARMS", "KINDS", "LanguageConfig", "measure_seed", "table_path"]

ARMS = ("base", "code", "none", *PLANTS)
"""Training on prose; then, from its end, on code, on more prose, and on more prose in which something is planted."""
KINDS = ("explained", "readings", "learned")

Rows = list[dict[str, Any]]

_NULLS = ("isotropic", "span", "weights", "inputs")
_TESTED = ("v1", "displacement")


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
    tuned_rate: float = 1e-3
    base_steps: tuple[int, ...] = (100, 300, 1000)
    """Where windows end."""
    tuned_steps: tuple[int, ...] = (100,)
    rule_steps: tuple[int, ...] = (500, 600, 700)
    """The rule takes this long: windows that may hold the learning of it."""
    window: int = 20
    every: int = 5
    k: int = 3
    sets: int = 4
    """Random sets of k directions that R² is held against."""
    draws: int = 39
    """Of each null of a reading: p is at least 1/40."""
    passages: int = 2
    """Of each held-out document."""
    documents: int = 24
    """Held-out documents, at most."""

    def steps_of(self, arm: str) -> tuple[int, ...]:
        """Where the windows of an arm end; without a plant, where those of all plants do."""
        if arm == "none":
            return tuple(sorted({*self.tuned_steps, *self.rule_steps}))
        return {"base": self.base_steps, "rule": self.rule_steps}.get(arm, self.tuned_steps)


def table_path(out: Path, seed: int, arm: str, kind: str) -> Path:
    """Where a table of one arm of one seed is."""
    return out / "measured" / f"{seed}.{arm}.{kind}.parquet"


def measure_seed(out: Path, seed: int, config: LanguageConfig) -> None:
    """Train and measure all arms of a seed into ``out/measured``; what is there already is not done again.

    Three tables an arm, and the end of training on prose, ``out/base/<seed>.safetensors``.

    Raises:
        StoreError: a file cannot be written, or is damaged.
    """
    torch.set_num_threads(1)
    base = out / "base" / f"{seed}.safetensors"
    for folder in (out / "measured", base.parent):
        make_folder(folder)
    for arm in ARMS:
        if base.exists() and all(table_path(out, seed, arm, kind).exists() for kind in KINDS):
            continue
        torch.manual_seed(seed)
        model = CharacterModel(config.d_model, config.layers, config.heads, config.length)
        if arm != "base":
            model.load_state_dict(decode_tensors(read_file(base), base))
        tables = _run_arm(model, arm, seed, config)
        for kind, rows in tables.items():
            write_table(table_path(out, seed, arm, kind), [{"seed": seed, "arm": arm} | row for row in rows])
        if arm == "base":
            write_atomically(base, encode_tensors(model.state_dict(), base))


def _run_arm(model: nn.Module, arm: str, seed: int, config: LanguageConfig) -> dict[str, Rows]:
    documents = (code() if arm == "code" else prose()).train
    rewrite: Rewrite = PLANTS[arm].rewrite if arm in PLANTS else unchanged
    generator = np.random.default_rng([seed, ARMS.index(arm)])
    tables: dict[str, Rows] = {kind: [] for kind in KINDS}

    def draw() -> Tensor:
        return sample(documents, config.batch, config.length, generator, rewrite)

    for step, recorder, before in _trained(model, arm, config, draw):
        window = _Window(model, before, recorder, arm, step, seed, config)
        if arm == "base" or step in config.tuned_steps:
            tables["explained"] += [{"step": step} | row for row in window.explained()]
        for kind, row in window.read():
            tables[kind].append({"step": step} | row)
    return tables


def _trained(
    model: nn.Module, arm: str, config: LanguageConfig, draw: Callable[[], Tensor]
) -> Iterator[tuple[int, Recorder, nn.Module]]:
    """Train, stopping where a window ends: the step, the recorder, and the model as it was at the window's begin."""
    ends = config.steps_of(arm)
    rate = config.base_rate if arm == "base" else config.tuned_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=config.weight_decay)
    length = config.window * config.every
    before = copy.deepcopy(model)
    with watch(
        model, optimizer, parameters=".", window=config.window, every=config.every, decay=True, verbose=False
    ) as recorder:
        for step in range(1, ends[-1] + 1):
            ids = draw()
            loss = nn.functional.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step in ends:
                yield step, recorder, before
            if step + length in ends:
                before.load_state_dict(model.state_dict())


class _Window:
    """One window of updates, with the models at its begin and its end."""

    def __init__(
        self,
        model: nn.Module,
        before: nn.Module,
        recorder: Recorder,
        arm: str,
        step: int,
        seed: int,
        config: LanguageConfig,
    ) -> None:
        self.model, self.before, self.arm, self.step, self.seed, self.config = model, before, arm, step, seed, config
        self.parameters = recorder.parameters
        self.edge = recorder.edge(center=False)
        self._recorder = recorder

    def text(self, rewrite: Rewrite) -> tuple[list[str], list[int]]:
        """Held-out passages of the arm, the same at every step, and the document of each."""
        documents = (code() if self.arm == "code" else prose()).held_out[: self.config.documents]
        generator = np.random.default_rng([self.seed, 99])
        return probe(documents, self.config.passages, self.config.length, generator, rewrite)

    def explained(self) -> Iterator[dict[str, Any]]:
        """R² and gains of edges of the updates, centred or not, of both parts of them, and of pieces of the path."""
        passages, owners = self.text(PLANTS[self.arm].rewrite if self.arm in PLANTS else unchanged)
        ids, k = encoded(passages), self.config.k
        directions = {
            "update": self.edge.directions(k),
            "centred": self._recorder.edge(center=True).directions(k),
            "gradient": _first(self._recorder.edge(center=False, of="gradient"), k),
            "decay": _first(self._recorder.edge(center=False, of="decay"), k),
            "pieces": _pieces(self._recorder.window.updates, k),
        }
        for name, rows in directions.items():
            found = explained_change(
                self.model, self.edge, ids, forward=token_log_probabilities, parameters=self.parameters,
                directions=rows, documents=owners, seed=self.seed, draws=self.config.sets if name == "update" else 1,
            )  # fmt: skip
            for kind, table in (("r2", found.table), ("gain", found.gains)):
                for row in table.rename({kind: "value"}).select("by", "value", "low", "high").iter_rows(named=True):
                    yield {"edge": name, "kind": kind, "k": len(rows), "size": found.size} | row

    def read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Readings of v₁ and of the displacement where the window begins, and what the window taught.

        Marks are read where they were planted and in the arm without a plant: there nothing may be found.
        """
        if self.arm in ("base", "code") or (self.arm == "none" and self.step in self.config.tuned_steps):
            passages, owners = self.text(unchanged)
            features = text_features(passages)
            surprise = np.column_stack([features, *self._surprise(encoded(passages))])
            statistics = {"text": Covariates(features, owners), "text and surprise": Covariates(surprise, owners)}
            yield from self._compared(passages, statistics)
        plants = PLANTS if self.arm == "none" else [self.arm] if self.arm in PLANTS else []
        for name in plants:
            if self.step not in self.config.steps_of(name):
                continue
            passages, owners = self.text(PLANTS[name].rewrite)
            marks = np.concatenate([PLANTS[name].marked(passage)[1:] for passage in passages])
            yield "learned", {"plant": name} | self._learned(encoded(passages), marks.astype(bool))
            yield from self._compared(passages, {f"planted: {name}": Covariates(marks[:, None], owners)})

    def _compared(self, passages: list[str], statistics: Mapping[str, Covariates]) -> Iterator[tuple[str, Any]]:
        """Readings of both directions, and of the change of log-probabilities itself, which has no null."""
        ids = encoded(passages)
        displacement = self.edge.displacement()
        tested = torch.stack([self.edge.directions(1)[0], displacement / displacement.norm()])
        found = compare(
            self.before, tested, ids, dict(statistics), parameters=select_parameters(self.before, "."),
            forward=token_log_probabilities, draws=self.config.draws, seed=self.seed, quiet=True,
            nulls=[Span(self.edge) if null == "span" else null for null in _NULLS],
        )  # fmt: skip
        columns = ("direction", "statistic", "null", "measured", "null_mean", "null_std", "pvalue", "draws")
        for row in found.table.select(columns).iter_rows(named=True):
            yield "readings", row | {"direction": _TESTED[row["direction"] - 1]}
        change = self._log_probability(self.model, ids) - self._log_probability(self.before, ids)
        for name, statistic in statistics.items():
            row = dict.fromkeys(columns) | {"direction": "change", "statistic": name, "measured": statistic(change)}
            yield "readings", row

    def _surprise(self, ids: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-probability and entropy of every next character where the window begins, passage by passage."""
        with torch.no_grad():
            logs = self.before(ids)[:, :-1].log_softmax(-1)
        own = logs.gather(-1, ids[:, 1:, None])[..., 0]
        return own.flatten().double().numpy(), -(logs.exp() * logs).sum(-1).flatten().double().numpy()

    def _learned(self, ids: Tensor, marks: NDArray[np.bool_]) -> dict[str, Any]:
        """Mean log-probability of marked characters, and how often each is the likeliest, at begin and end."""
        found: dict[str, Any] = {"marks": int(marks.sum())}
        for when, model in (("begin", self.before), ("end", self.model)):
            with torch.no_grad():
                right = (model(ids)[:, :-1].argmax(-1) == ids[:, 1:]).flatten().numpy()[marks]
            log_p = self._log_probability(model, ids).flatten().numpy()[marks]
            found |= {f"log_p_{when}": float(log_p.mean()), f"right_{when}": float(right.mean())}
        return found

    @staticmethod
    def _log_probability(model: nn.Module, ids: Tensor) -> Tensor:
        with torch.no_grad():
            return token_log_probabilities(model, ids).double()


def _first(edge: SpectralEdge, k: int) -> Tensor:
    return edge.directions(min(k, edge.identifiable))


def _pieces(updates: Tensor, k: int) -> Tensor:
    """The path in k pieces of equally many updates, as unit rows: as many directions as an edge, without a spectrum."""
    rows = torch.stack([part.sum(0) for part in updates.tensor_split(k)])
    return rows / rows.norm(dim=1, keepdim=True)
