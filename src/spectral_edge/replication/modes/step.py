"""One pass over the random directions at one step of a run, for all claims that read responses there."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.comparison import Comparison, Isotropic, NullRow, compare, evaluate
from spectral_edge.grokking import ModularTransformer
from spectral_edge.parameters import ParameterSubset, attention_weights
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.claims.c13_mixtures import MIXTURES
from spectral_edge.replication.claims.line import ClaimLine, Direction, alone
from spectral_edge.replication.modes.quantities import Quantities, Quantity, quantities_of
from spectral_edge.replication.modes.selection import lines_for
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.replication.task_losses import loss_changes
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.subjects.device import check_device

__all__ = ["StepComparison"]

_ISOTROPIC = Isotropic.name


@dataclass(frozen=True, eq=False)
class StepComparison:
    """The edge directions v_1 … v_k of one step and their mixtures, held against random directions.

    Kept with the open run, as several studies ask for it.

    Attributes:
        here: the run and the step.
        edge: of the window that ends there.
        directions: what is tested, in the order of the comparison.
        rows: (k, D) unit rows of them.
        quantities: the statistics.
        result: the comparison; it keeps ``"loss"``, (tasks, N) derivatives of each input's losses, of every direction.
    """

    here: AnalysedStep
    edge: SpectralEdge
    directions: tuple[Direction, ...]
    rows: Tensor
    quantities: Quantities
    result: Comparison

    @classmethod
    def at(cls, here: AnalysedStep) -> StepComparison:
        """Compare, or return the comparison that the open run has.

        Raises:
            ValueError: the run's updates do not fix the window.

        Cost: a response to each random direction; memory 15 to 45 MB for 200 of them on 9409 inputs.
        """
        key = (here.checkpoint, here.step, here.config)
        if key not in here.run.kept:
            here.run.kept[key] = cls._compared(here)
        found = here.run.kept[key]
        assert isinstance(found, StepComparison)
        return found

    @classmethod
    def _compared(cls, here: AnalysedStep) -> StepComparison:
        run, config = here.run, here.config
        model, parameters = run.model_at(here.step)
        window = here.edge
        directions, rows = _tested(window, config)
        quantities = Quantities(run, parameters)
        asked = quantities_of(_lines(here, sum(direction.combined == "alone" for direction in directions)))
        there, own = _on_device(model, parameters, config)
        has_labels = any(quantity.grouping for quantity in asked)
        result = compare(
            there,
            rows,
            torch.from_numpy(run.task.pairs),
            quantities.statistics(asked or [Quantity("head_purity", None, "all")]),
            parameters=own,
            nulls=[Isotropic(config.random_directions), *(["inputs"] if has_labels else [])],
            draws=config.permutations,
            seed=config.seed,
            keep={"loss": loss_changes(model, run.tasks)},
            threads=run.threads,
            quiet=True,
        ).whole()
        return cls(here, window, directions, rows, quantities, result)

    @property
    def k(self) -> int:
        """How many of the tested directions, from the first, are edge directions."""
        return sum(direction.combined == "alone" for direction in self.directions)

    @property
    def lines(self) -> list[ClaimLine]:
        """What the claims ask for here."""
        return _lines(self.here, self.k)

    @cached_property
    def _found(self) -> dict[tuple[int | None, str, str], NullRow]:
        return {(row.direction, row.statistic, row.null): row for row in self.result.rows}

    def row(self, direction: Direction | None, quantity: Quantity, null: str = _ISOTROPIC) -> NullRow | None:
        """One number of a tested direction, or of a set (``None``), and its draws; ``None`` if the null has none."""
        plain = None if direction is None else Direction(direction.members, direction.combined)
        number = None if plain is None else self.directions.index(plain) + 1
        return self._found.get((number, str(quantity), null))

    def draws(self, quantity: Quantity) -> NDArray[np.float64]:
        """The values of random directions."""
        found = self._found.get((1, str(quantity), _ISOTROPIC)) or self._found[None, str(quantity), _ISOTROPIC]
        return found.values

    def kept(self, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """What was kept of v_1 … v_k and of the random directions."""
        arrays = self.result.kept[name]
        return arrays["tested"][: self.k], arrays[_ISOTROPIC]

    def evaluate(self, rows: Tensor, quantities: Sequence[Quantity]) -> dict[str, NDArray[np.float64]]:
        """The same statistics of other directions (k, D) at this step, (k,) each, or one of a set."""
        model, parameters = self.here.run.model_at(self.here.step)
        there, own = _on_device(model, parameters, self.here.config)
        return evaluate(
            there,
            rows,
            torch.from_numpy(self.here.run.task.pairs),
            self.quantities.statistics(quantities),
            parameters=own,
        )


def _lines(here: AnalysedStep, k: int) -> list[ClaimLine]:
    """What is asked for at this step, as far as the edge has directions for it; nothing of several tasks at once."""
    task, config = here.run.task, here.config
    if len(here.run.tasks) > 1:
        return []
    checkpoint = "stop" if here.checkpoint == "final" else here.checkpoint
    lines = lines_for(task.name, task.p, config.phases)
    return [line for line in lines if line.checkpoint == checkpoint and line.n_directions <= k]


def _tested(window: SpectralEdge, config: AnalysisConfig) -> tuple[tuple[Direction, ...], Tensor]:
    """v_1 … v_k, then the mixtures of the first three, each a unit row."""
    k = min(config.directions, window.identifiable)
    rows = window.directions(k)
    mixed = [v for v in MIXTURES if max(v.members) <= k]
    sums = [rows[[i - 1 for i in v.members]].sum(0) / len(v.members) ** 0.5 for v in mixed]
    return (*map(alone, range(1, k + 1)), *mixed), torch.cat([rows, torch.stack(sums)]) if sums else rows


def _on_device(
    model: ModularTransformer, parameters: ParameterSubset, config: AnalysisConfig
) -> tuple[ModularTransformer, ParameterSubset]:
    check_device(config.device)
    if config.device == "cpu":
        return model, parameters
    there = copy.deepcopy(model).to(config.device)
    return there, attention_weights(there)
