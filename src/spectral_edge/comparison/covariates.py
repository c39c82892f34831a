"""What can be read from a response without a group: its regression on features of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spectral_edge.comparison.documents import Documents
from spectral_edge.comparison.statistic import Takes

__all__ = ["Covariates"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Covariates:
    """How much better features predict a response than its mean does: cross-validated gain in R².

    Ridge regression on standardised features, fitted on all folds but one, scored on that one; 1 − Σ(y − ŷ)²/Σ(y − ȳ)²
    over all folds, ȳ the mean of the other folds. 0: no better than the mean; below 0: worse. The null ``inputs``
    exchanges the features of whole documents.

    Args:
        features: a table (polars, pandas) or array with a row an input, (N, p), or a row an output, (N d, p), input by
            input. With a row an input each column of the response has coefficients of its own.
        documents: (N,) what each input belongs to; each by itself if left out. Inputs of a document stay together in
            folds and permutations, because they are not independent.
        mask: (N, d) which outputs count, where features have a row an output; all if left out.
        folds: of the cross-validation.
        alpha: ridge penalty.
        label: how the table calls it.

    Raises:
        ValueError: features have missing values or are no numbers; on use, rows that do not fit the response.

    Cost: N d p a response; as much and N p² for each permutation.

    >>> import torch
    >>> x = np.linspace(-1, 1, 60)
    >>> round(Covariates(np.stack([x, x**2], 1))(torch.tensor(1 + 2 * x)[:, None]), 2)
    1.0
    """

    features: Any
    documents: Sequence[Any] | NDArray[Any] | None = None
    mask: Any = None
    folds: int = 5
    alpha: float = 1.0
    label: str = "covariates"

    takes: ClassVar[Takes] = "response"
    _table: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_table", _checked(self.features))
        if self.folds < 2:
            raise ValueError(f"Covariates: folds = {self.folds}; at least 2 are needed")

    @property
    def name(self) -> str:
        """How the table calls it."""
        return self.label

    def __call__(self, response: Tensor) -> float:
        """The gain of a response (N, d)."""
        return self._gain(response, None)

    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        """Exchange the features of whole documents of the same number of inputs.

        Raises:
            ValueError: documents can be exchanged in fewer than 100 ways; without documents, on use.
        """
        if self.documents is not None:
            self._own.check_permutations()
        seed = int(generator.integers(2**63))
        return lambda response: self._gain(
            response, self._partition(len(response)).exchanged(np.random.default_rng(seed))
        )

    def _gain(self, response: Tensor, taken: NDArray[np.int64] | None) -> float:
        n, d = response.shape
        y, features, fold = self._arranged(n, d, response.double().cpu().numpy(), taken)
        spread = features.std(0)
        x = (features - features.mean(0)) / np.where(spread > 0, spread, 1)
        errors = total = 0.0
        for held in range(self.folds):
            out = fold == held
            if not out.any() or out.all():
                continue
            mean_x, mean_y = x[~out].mean(0), y[~out].mean(0)
            inside = x[~out] - mean_x
            penalised = inside.T @ inside + self.alpha * np.eye(x.shape[1])
            coefficients = np.linalg.solve(penalised, inside.T @ (y[~out] - mean_y))
            rest = y[out] - mean_y
            total += float(np.square(rest).sum())
            errors += float(np.square(rest - (x[out] - mean_x) @ coefficients).sum())
        return 1 - errors / total if total > 0 else float("nan")

    def _arranged(
        self, n: int, d: int, values: Floats, taken: NDArray[np.int64] | None
    ) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Targets, features and folds, one row an input or an output."""
        rows = len(self._table)
        if rows not in (n, n * d):
            raise ValueError(
                f"Covariates: {rows} rows of features for a response of {n} inputs and {d} outputs each; there must be "
                f"{n}, one an input, or {n * d}, one an output"
            )
        fold, taken = self._folds(n), np.arange(n) if taken is None else taken
        if self.mask is not None:
            return self._unmasked(n, d, values, taken, fold)
        if rows == n:
            return values, self._table[taken], fold
        features = self._table.reshape(n, d, -1)[taken].reshape(n * d, -1)
        return values.reshape(-1, 1), features, fold.repeat(d)

    def _unmasked(
        self, n: int, d: int, values: Floats, taken: NDArray[np.int64], fold: NDArray[np.int64]
    ) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """As :meth:`_arranged`, of the outputs that count."""
        if len(self._table) != n * d:
            raise ValueError("Covariates: mask needs features with a row an output")
        if self._counts.shape != (n, d):
            raise ValueError(f"Covariates: mask is {self._counts.shape} for a response ({n}, {d})")
        kept = self._counts.reshape(-1)
        features = self._filled.reshape(n, d, -1)[taken].reshape(n * d, -1)
        return values.reshape(-1, 1)[kept], features[kept], fold.repeat(d)[kept]

    @cached_property
    def _counts(self) -> NDArray[np.bool_]:
        return np.asarray(self.mask.cpu() if isinstance(self.mask, Tensor) else self.mask, dtype=bool)

    @cached_property
    def _filled(self) -> Floats:
        """Features whose rows that do not count have the means of those that do.

        Exchanged, padding lands on outputs that count, where features of its own would mark their positions.
        """
        kept = self._counts.reshape(-1)
        return np.where(kept[:, None], self._table, self._table[kept].mean(0))

    def _folds(self, n: int) -> NDArray[np.int64]:
        return self._partition(n).folds(self.folds)

    def _partition(self, n: int) -> Documents:
        found = self._own if self.documents is not None else Documents(range(n))
        if len(found.of_input) != n:
            raise ValueError(f"Covariates: {len(found.of_input)} documents are named for {n} inputs")
        return found

    @cached_property
    def _own(self) -> Documents:
        return Documents(self.documents)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Covariates({self._table.shape[0]} rows, {self._table.shape[1]} features)"


def _checked(features: Any) -> Floats:
    try:
        table = np.asarray(features.cpu() if isinstance(features, Tensor) else features, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            "Covariates: features are not numbers; encode categories, e.g. as columns of 0 and 1"
        ) from None
    if table.ndim != 2 or not table.size:
        raise ValueError(f"Covariates: features are {table.shape}; they must be (rows, features)")
    missing = ~np.isfinite(table)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        names = list(getattr(features, "columns", range(table.shape[1])))
        raise ValueError(
            f"Covariates: {int(missing.any(1).sum())} rows have missing values, the first is row {row}, feature "
            f"{names[column]!r}; drop these inputs, or fill the values in"
        )
    return table
