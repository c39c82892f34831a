"""What share of what a model learned in a window its net displacement, its edge, and random directions carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spectral_edge.comparison import DirectionSpace, iterate_random_directions
from spectral_edge.language.regression import Halves, Score, fitted, gain, score
from spectral_edge.modes import Forward, Inputs, Responder, as_rows, input_batches, moved, responder_of
from spectral_edge.parameters import ParameterSubset, Selector
from spectral_edge.spectrum import SpectralEdge
from spectral_edge.tabular import Tabular

if TYPE_CHECKING:
    import polars

__all__ = ["ExplainedChange", "explained_change"]

Floats = NDArray[np.float64]

_RANDOM = ("span", "isotropic")
_SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class ExplainedChange(Tabular):
    """How much of a change of outputs directions carry, held out.

    Attributes:
        rows, gain_rows, path_rows: what the tables are made of.
        k: edge directions.
        entries: outputs that entered, of all inputs.
        size: root mean square of the change.
        method: how derivatives were computed.
    """

    rows: tuple[dict[str, Any], ...] = field(repr=False)
    gain_rows: tuple[dict[str, Any], ...] = field(repr=False)
    path_rows: tuple[dict[str, Any], ...] = field(repr=False)
    k: int
    entries: int
    size: float
    method: str

    @property
    def table(self) -> polars.DataFrame:
        """Columns by, k (regressors), r2, low, high, source, held_out (inputs, or documents if they were named).

        ``by`` is "displacement", "edge", "displacement+edge", "span", "isotropic". R² is 1 − Σ(y − ŷ)²/Σ(y − ȳ)² over
        what is held out; below 0 the fit is worse than its mean. low, high: 90 % bootstrap interval over inputs or
        documents held out; of random directions, the middle 90 % of the draws, and r2 is their mean.
        """
        return _table(self.rows)

    def to_polars(self) -> polars.DataFrame:
        """:attr:`table`."""
        return self.table

    @property
    def gains(self) -> polars.DataFrame:
        """What k directions add to the displacement's R²: columns by, gain, low, high, source.

        ``by`` is "edge", "span", "isotropic". Intervals as in :attr:`table`, paired over inputs.
        """
        return _table(self.gain_rows)

    @property
    def paths(self) -> polars.DataFrame:
        """How straight the function is along each direction: columns direction, share, distance, size, r2.

        The model is moved back by ``share`` of its displacement, or of the displacement's part along v_j, a step of
        length ``distance``. ``size`` is the root mean square of the true change of outputs, and r2 = 1 − Σ(true −
        linear)²/Σ true² says how much of it the derivative predicts; curvature makes it fall.
        """
        return _table(self.path_rows)


def _table(rows: Sequence[dict[str, Any]]) -> polars.DataFrame:
    import polars

    return polars.DataFrame(list(rows))


def explained_change(
    model: nn.Module,
    edge: SpectralEdge,
    inputs: Inputs | np.ndarray,
    *,
    forward: Forward,
    parameters: ParameterSubset | Selector | None = None,
    k: int = 3,
    directions: Tensor | None = None,
    sources: Sequence[str] | None = None,
    documents: Sequence[Any] | None = None,
    seed: int = 0,
    draws: int = 20,
    batch_size: int | None = None,
) -> ExplainedChange:
    """Say which share of what the model learned in the edge's window its directions carry, beside random ones.

    With θ the present weights, D the window's displacement and y = h(θ) − h(θ − D): y is fitted by least squares, with
    an intercept, on derivatives of h along directions, over half of the inputs, and R² is that on the other half.
    Coefficients are free, so this is the share of the change that lies *along* the directions, whatever the distance.

    Args:
        model: holds the window's last weights.
        edge: of the window, with its updates.
        inputs: as for :func:`~spectral_edge.modes.functional_modes`; at least four.
        forward: ``forward(model, batch)``, (n, …), what was learned: e.g.
            :func:`~spectral_edge.language.token_log_probabilities`. Outputs that are NaN (masked tokens) are left out.
        parameters: what the edge lives in; the attention weights if left out.
        k: directions of the edge, and of each random draw.
        directions: (k, D) unit rows in place of the edge's, e.g. those of the gradient part of its updates; the
            displacement and the span stay the edge's.
        sources: a name an input; the table then has rows of each source, from the same fit, too.
        documents: what each input belongs to, where several were cut from one text: they are then fitted on or held out
            together, and intervals resample documents. Each by itself if left out.
        seed: of halves, draws and bootstrap.
        draws: random sets of k directions of the window's span, and of any; at least 1. A window of one direction has
            no other in its span, and the tables then no row "span".
        batch_size: inputs at once; 256 if left out.

    Raises:
        ValueError: fewer than four inputs (or documents), names of another number, the displacement changes nothing,
            ``edge`` is no edge or has fewer directions, no draws, or as ``functional_modes``.

    Cost: 1 + k (1 + 2 draws) responses and 5 + 4 k forward passes. Memory: one number an output for each of them.

    >>> model = nn.Linear(2, 1, bias=False)  # linear in its weights: the displacement explains all
    >>> from spectral_edge.spectrum import spectral_edge
    >>> weights = ParameterSubset(dict(model.named_parameters()))
    >>> edge = spectral_edge(torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 0.25]]), center=False)
    >>> x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    >>> change = explained_change(model, edge, x, forward=lambda m, x: m(x), parameters=weights, k=1, draws=4)
    >>> change.table.filter(by="displacement")["r2"].round(4).to_list()
    [1.0]
    """
    if not isinstance(edge, SpectralEdge):
        raise ValueError(
            f"explained_change: edge is a {type(edge).__name__}; give the SpectralEdge of the window, whose "
            "displacement is asked about, and other directions as directions="
        )
    if draws < 1:
        raise ValueError(f"explained_change: draws = {draws}; at least one random set of directions is needed")
    respond = responder_of(model, inputs, parameters=parameters, forward=forward, batch_size=batch_size)
    edge.check_layout(respond.parameters.names)
    displacement = edge.displacement().to(respond.parameters.flatten())
    respond.checked(displacement[None])
    chosen = respond.of_edge(edge, k) if directions is None else respond.checked(directions)
    k = len(chosen)
    space = DirectionSpace(respond.parameters, edge)
    length = space.inner(displacement, displacement) ** 0.5
    rows = torch.cat([displacement[None] / length, chosen.to(displacement)])
    with respond.reading():
        read = _Outputs(respond, forward, batch_size)
        now = read()
        change = now - read(-1, displacement)
        known = np.isfinite(change)
        if not known.any() or not np.abs(change[known]).max() > 0:
            raise ValueError(
                "explained_change: the window's displacement changes no output; the model must hold the window's last "
                "weights, and forward read what was trained"
            )
        halves = Halves.of(known, change, sources, documents, seed)
        responses = read.responses(rows)[:, known]
        random = {
            null: [read.responses(drawn)[:, known] for drawn in _sets(respond.parameters, null, edge, k, draws, seed)]
            for null in _RANDOM
            if null != "span" or (edge.plain and edge.identifiable > 1)
        }
        parts = [length, *(space.inner(v, displacement) for v in rows[1:])]
        paths = tuple(_paths(read, now, known, rows, parts, responses))
    table, gains = _scored(halves, responses, random, seed)
    size = float(np.sqrt(np.square(change[known]).mean()))
    return ExplainedChange(table, gains, paths, k, int(known.sum()), size, respond.method)


def _scored(
    halves: Halves, responses: Floats, random: Mapping[str, Sequence[Floats]], seed: int
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Rows of both tables from responses to the displacement and the edge (1 + k, M), and to random sets (k, M)."""
    along, of_edge = responses[:1], responses[1:]
    predicted = {
        name: fitted(halves, columns)
        for name, columns in (("displacement", along), ("edge", of_edge), ("displacement+edge", responses))
    }
    regressors = dict(zip(predicted, (1, len(of_edge), len(responses)), strict=True))
    scored = {name: score(halves, values, seed) for name, values in predicted.items()}
    rows = [_row(name, regressors[name], found) for name in predicted for found in scored[name]]
    gains = [
        {"by": "edge"} | found
        for found in gain(halves, predicted["displacement"], predicted["displacement+edge"], seed)
    ]
    for null, sets in random.items():
        alone = [score(halves, fitted(halves, columns), seed) for columns in sets]
        added = [score(halves, fitted(halves, np.vstack([along, columns])), seed) for columns in sets]
        for place, (source, n) in enumerate(halves.parts):
            r2 = np.array([found[place].r2 for found in alone])
            more = np.array([found[place].r2 for found in added]) - scored["displacement"][place].r2
            rows.append({"by": null, "k": len(of_edge), **_over_draws("r2", r2), "source": source, "held_out": n})
            gains.append({"by": null, **_over_draws("gain", more), "source": source})
    return tuple(rows), tuple(gains)


def _row(name: str, k: int, found: Score) -> dict[str, Any]:
    return {
        "by": name, "k": k, "r2": found.r2, "low": found.low, "high": found.high, "source": found.source,
        "held_out": found.held_out,
    }  # fmt: skip


def _over_draws(name: str, values: Floats) -> dict[str, Any]:
    low, high = np.quantile(values, [0.05, 0.95])
    return {name: float(values.mean()), "low": float(low), "high": float(high)}


def _sets(
    parameters: ParameterSubset, null: str, edge: SpectralEdge, k: int, draws: int, seed: int
) -> Iterator[Tensor]:
    """``draws`` sets of k random directions, one at a time."""
    waiting: list[Tensor] = []
    for block in iterate_random_directions(k * draws, parameters, null, edge=edge, seed=seed):
        waiting += list(block)
        while len(waiting) >= k:
            yield torch.stack(waiting[:k])
            del waiting[:k]


@dataclass(frozen=True)
class _Outputs:
    """Outputs of a model at its weights or beside them, flattened, and responses; in ``respond.reading()``."""

    respond: Responder
    forward: Forward
    batch_size: int | None

    def __call__(self, share: float = 0.0, direction: Tensor | None = None) -> Floats:
        """(N, d) outputs with the weights moved by share × direction."""
        if direction is None:
            return self._read()
        with moved(self.respond.model, self.respond.parameters, share * direction):
            return self._read()

    def _read(self) -> Floats:
        size = self.batch_size or 256
        batches = input_batches(self.respond.inputs, size)
        found = [as_rows(self.forward(self.respond.model, batch), batch).double().cpu() for batch in batches]
        return torch.cat(found).numpy()

    def responses(self, rows: Tensor) -> Floats:
        """(k, N, d)."""
        return torch.cat(
            [self.respond(part).double().cpu() for part in self.respond.checked(rows).split(self.respond.group)]
        ).numpy()


def _paths(
    read: _Outputs, now: Floats, known: NDArray[np.bool_], rows: Tensor, parts: Sequence[float], responses: Floats
) -> Iterator[dict[str, Any]]:
    """Steps back along each unit row, by shares of the displacement's part along it."""
    names = ("displacement", *(f"v{i}" for i in range(1, len(rows))))
    for name, row, part, response in zip(names, rows, parts, responses, strict=True):
        for share in _SHARES:
            true = (read(-share * part, row) - now)[known]
            total = float(np.square(true).sum())
            error = float(np.square(true + share * part * response).sum())
            yield {
                "direction": name, "share": share, "distance": share * abs(part),
                "size": float(np.sqrt(total / len(true))), "r2": 1 - error / total if total > 0 else None,
            }  # fmt: skip
