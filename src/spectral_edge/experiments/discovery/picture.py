"""One discovery as arrays to draw: circles, scree, and a function before and after its tokens are put in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectral_edge.discovery import DiscoveredBasis, GroupLaw, discover_basis, interactions_of
from spectral_edge.experiments.discovery.sources import functions_of
from spectral_edge.replication.study import AnalysisConfig
from spectral_edge.store import DiscoverySource
from spectral_edge.subjects.trained_run import TrainedRun

__all__ = ["Picture", "discover_at"]


@dataclass(frozen=True, eq=False)
class Picture:
    """What a figure of one discovery shows.

    Attributes:
        name: for files. title: for people. source: run, step and setting.
        answer: of the discovery, with its law. has_law: whether one was found.
        characters: (m, n) complex, strongest first.
        position: (n,) place of every token in the recovered arrangement; its number if there is none.
        eigenvalues, null_quantile95: (n - 1,) the scree.
        function: (n, n) the first component of the response to v1, main effects removed, tokens as they are numbered.
        arrangement: (n,) tokens in the recovered arrangement: powers of an element, coset after coset.
    """

    name: str
    title: str
    source: str
    answer: str
    has_law: bool
    characters: np.ndarray
    position: np.ndarray
    eigenvalues: np.ndarray
    null_quantile95: np.ndarray
    function: np.ndarray
    arrangement: np.ndarray


def discover_at(
    run: TrainedRun, step: int, source: DiscoverySource, config: AnalysisConfig
) -> tuple[DiscoveredBasis, Picture]:
    """Discover from one source of a run at one step, on all its pairs, and lay the result out for drawing."""
    functions = functions_of(run, step, source, config)
    n = len(functions.tokens)
    found = discover_basis(functions.values, n, pairs=functions.pairs, residues=functions.tokens, seed=config.seed)
    values = interactions_of(functions.values, n, functions.pairs).values
    arrangement = np.arange(n) if found.law is None else _arranged(found, found.law.group)
    t = run.training
    law = "no law" if found.law is None else f"{found.law.group.name}, {found.law.kind}"
    picture = Picture(
        name=f"discovery_{t.operation}-p{t.p}-s{t.seed}-{source}",
        title=f"{t.operation}, {n} tokens, seed {t.seed}",
        source=f"{run.config.run_id}, step {step}, {source}; window {functions.window}, stride {config.stride}",
        answer=f"{found.answer}; {law}; p = {found.pvalue:.3f}",
        has_law=found.law is not None,
        characters=found.characters,
        position=np.argsort(arrangement),
        eigenvalues=found.scree.eigenvalues,
        null_quantile95=found.scree.null_quantile95,
        function=values[0, 0],
        arrangement=arrangement,
    )
    return found, picture


def _arranged(found: DiscoveredBasis, group: GroupLaw) -> np.ndarray:
    """Powers of an element of the largest order, then its cosets; the cycle of the strongest character if cyclic."""
    if found.cyclic_order is not None:
        return found.cyclic_order
    powers = group.cyclic_order(int(group.orders.argmax()))
    placed: list[int] = []
    for token in range(len(group.table)):
        if token not in placed:
            placed += group.table[powers, token].tolist()
    return np.array(placed)
