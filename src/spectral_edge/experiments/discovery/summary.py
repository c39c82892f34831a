"""The seven points that basis discovery must answer, as tables made of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from spectral_edge.discovery import LEVEL
from spectral_edge.experiments.point import Point
from spectral_edge.statistics import proportion_interval
from spectral_edge.store import DiscoveryRow

__all__ = ["curve_of", "seven_points", "stop_rows"]

_NOT_GENERALISED = 0.05
_SOURCE_NAMES = {
    "edge": "response to v1 … v8",
    "v1": "response to v1",
    "random": "response to 8 random directions",
    "random_one": "response to one random direction",
    "energy": "f_k of v1 … v8",
    "energy_off_diagonal": "f_k of v1 … v8 without a = b",
    "energy_many": "f of 96 random directions",
    "embedding": "token embedding (principal components)",
    "residual": "residual stream",
    "logits": "logits",
}


def seven_points(rows: Sequence[DiscoveryRow]) -> list[Point]:
    """Answer the seven questions from the rows of all runs."""
    return [
        _no_leak(rows),
        _right_group(rows),
        _unknown_groups(rows),
        _nothing(rows),
        _specific(rows),
        _squares(rows),
        _alternatives(rows),
        _sample_efficiency(rows),
    ]


def stop_rows(rows: Iterable[DiscoveryRow], source: str) -> list[DiscoveryRow]:
    """The row of one source for each run, where it was analysed, from all the pairs that the source has."""
    rows = list(rows)
    # Runs with a curve over training have many steps; the one that logits were read at is the stop.
    stops = {row.run_id: row.step for row in rows if row.source == "logits" and row.pairs_known == 1}
    found = {
        row.run_id: row
        for row in rows
        if row.source == source and _has_all_pairs(row) and row.step == stops.get(row.run_id, row.step)
    }
    return list(found.values())


def _has_all_pairs(row: DiscoveryRow) -> bool:
    return row.pairs_known == 1 or row.source == "energy_off_diagonal"


def curve_of(rows: Iterable[DiscoveryRow], run_id: str, source: str) -> list[DiscoveryRow]:
    """Rows of one run and source over training, all pairs, in order of steps."""
    found = {row.step: row for row in rows if (row.run_id, row.source, row.pairs_known) == (run_id, source, 1)}
    return [found[step] for step in sorted(found)]


def _rate(rows: Sequence[DiscoveryRow], success: Callable[[DiscoveryRow], bool]) -> str:
    if not rows:
        return "—"
    hits = sum(map(success, rows))
    low, high = proportion_interval(hits, len(rows))
    return f"{hits} of {len(rows)} [{low:.2f}, {high:.2f}]"


def _recovered(rows: Sequence[DiscoveryRow]) -> str:
    return _rate(rows, lambda row: row.recovered)


def _of(rows: Iterable[DiscoveryRow], operation: str, p: int = 97) -> list[DiscoveryRow]:
    return [row for row in rows if (row.operation, row.p) == (operation, p)]


def _no_leak(rows: Sequence[DiscoveryRow]) -> Point:
    renamed = [row for row in rows if row.renaming is not None]
    table = []
    for operation in ("add", "sub", "mul"):
        edge, random = (_of(stop_rows(renamed, source), operation) for source in ("edge", "random"))
        worst = min((row.agreement or 0.0 for row in edge), default=0.0)
        none = _rate(edge, lambda row: row.answer == "none of these")
        table.append((operation, _recovered(edge), f"{worst:.3f}", none, _recovered(random)))
    return Point(
        "1. No leak: the tokens renamed at random",
        "Models trained on renamed tokens, five renamings × three seeds. Recovered: classes of the law are those of "
        "the labels on every pair, under one naming of the classes, which is the order up to an automorphism and a "
        "shift. Intervals are exact binomial ones at 95 % over runs.",
        ("operation", "recovered, edge", "lowest agreement", "answer: none of these", "recovered, random directions"),
        tuple(table),
    )


def _right_group(rows: Sequence[DiscoveryRow]) -> Point:
    plain = [row for row in stop_rows(rows, "edge") if row.renaming is None]
    table = []
    for operation in ("add", "sub", "mul"):
        for row in _of(plain, operation):
            known = {one.grouping: one for one in row.known}
            cells = []
            for name in ("sum", "difference", "discrete_log"):
                one = known.get(name)
                cells.append("—" if one is None else f"{one.share:.3f} (p {one.pvalue_adjusted:.3f})")
            ranked = sorted((one.share for one in row.known), reverse=True)
            margin = f"{ranked[0] / ranked[1]:.1f}×" if len(ranked) > 1 and ranked[1] > 0 else "—"
            table.append((operation, str(row.seed), str(row.step), row.answer, *cells, margin, row.law or "none"))
    return Point(
        "2. The right group, not just a group",
        "Runs whose tokens keep their numbers. Shares of the interactions' variance (first components) that each known "
        "grouping accounts for; p against 100 random renamings, adjusted for all candidates. Margin: the largest share "
        "over the second largest.",
        ("operation", "seed", "step", "answer", "sum", "difference", "discrete log", "margin", "law found"),
        tuple(table),
    )


def _unknown_groups(rows: Sequence[DiscoveryRow]) -> Point:
    edge = stop_rows(rows, "edge")
    table = []
    for operation, p, what in (
        ("add", 91, "sum mod 91 = 7 · 13"),
        ("velocity", 98, "velocities on a projective line of 98 points"),
        ("dihedral", 90, "dihedral group of order 90"),
        ("symmetric", 120, "symmetric group S_5"),
    ):
        for row in _of(edge, operation, p):
            agree = "—" if row.agreement is None else f"{row.agreement:.3f}"
            law = row.law or "none"
            table.append((what, str(row.seed), str(row.step), f"{row.test_accuracy or 0:.3f}", row.answer, law, agree))
    return Point(
        "3. Groups that no grouping names",
        "A projective line and the two groups that are not abelian have no known grouping to be found by; the sum mod "
        "91 has one.",
        ("task", "seed", "step", "test accuracy", "answer", "law found", "agreement"),
        tuple(table),
    )


def _nothing(rows: Sequence[DiscoveryRow]) -> Point:
    def structured(row: DiscoveryRow) -> bool:
        return row.pvalue <= LEVEL

    whole = [row for row in rows if row.pairs_known == 1]
    cases = [
        ("shuffled inputs, all runs", [row for row in whole if row.source == "shuffled"]),
        ("untrained models, each once", _different(row for row in whole if row.source == "untrained")),
        ("not yet generalised, edge", [row for row in whole if row.source == "edge" and _ungeneralised(row)]),
        ("not yet generalised, random directions", [r for r in whole if r.source == "random" and _ungeneralised(r)]),
        ("random table, memorised, edge", _of(stop_rows(rows, "edge"), "random_table")),
        ("random table, memorised, random directions", _of(stop_rows(rows, "random"), "random_table")),
        ("a² + ab + b², edge", _of(stop_rows(rows, "edge"), "x2_xy_y2")),
        ("a² + ab + b², random directions", _of(stop_rows(rows, "random"), "x2_xy_y2")),
        ("a³ + ab, edge", _of(stop_rows(rows, "edge"), "x3_xy")),
        ("a³ + ab, random directions", _of(stop_rows(rows, "random"), "x3_xy")),
    ]
    table = []
    for name, found in cases:
        lowest = f"{min((row.pvalue for row in found), default=1.0):.3f}"
        laws = sum(row.law is not None for row in found)
        testable = f"{sum(row.dimension >= 2 for row in found)} of {len(found)}"
        table.append((name, _rate(found, structured), testable, lowest, str(laws)))
    return Point(
        "4. False positives",
        f"How often structure was claimed at level {LEVEL}, and how often a law was found. Testable: two dimensions or "
        "more stand out of the scree of shuffled pairs; where none do, as after a shuffle by construction, p is 1. "
        "Operations of one seed and one number of tokens start from the same model, which counts once. Models not "
        "yet generalised are those of addition, subtraction and multiplication at test accuracies up to 0.05; several "
        "steps of one model are not independent, but the interval treats them as independent.",
        ("functions", "called structured", "testable", "lowest p", "laws found"),
        tuple(table),
    )


def _ungeneralised(row: DiscoveryRow) -> bool:
    learns = row.operation in ("add", "sub", "mul")
    return learns and row.test_accuracy is not None and row.test_accuracy <= _NOT_GENERALISED


def _different(rows: Iterable[DiscoveryRow]) -> list[DiscoveryRow]:
    """One row for each model and set of inputs: equal ones give the same numbers to the last digit."""
    return list({(row.p, row.seed, row.pvalue, row.evenness, row.commutator): row for row in rows}.values())


def _specific(rows: Sequence[DiscoveryRow]) -> Point:
    table = []
    runs = {row.run_id: row for row in rows if row.source == "edge" and row.step == 300 and row.pairs_known == 1}
    for run_id, first in runs.items():
        for source in ("edge", "random"):
            curve = curve_of(rows, run_id, source)
            structured = _first(curve, lambda row: row.pvalue <= LEVEL)
            recovered = _first(curve, lambda row: row.recovered)
            accuracy = [_first(curve, lambda row, x=x: (row.test_accuracy or 0) > x) for x in (0.2, 0.5, 0.95)]  # type: ignore[misc]
            stop = next(row for row in stop_rows(rows, source) if row.run_id == run_id)
            table.append(
                (first.operation, str(first.seed), source, structured, recovered, *accuracy, f"{stop.task_share:.3f}")
            )
    return Point(
        "5. Specific to the edge, and when",
        "First step of those looked at (every 300, and the stop) with structure, the law recovered, and test "
        "accuracy above 0.2, 0.5 and 0.95. Before step 2 000 windows have fewer than 20 updates. Task share: part of "
        "the functions' variance, main effects included, between the classes of the task's labels at the stop.",
        ("operation", "seed", "directions", "structure", "recovered", "> 0.2", "> 0.5", "> 0.95", "task share"),
        tuple(table),
    )


def _first(curve: Sequence[DiscoveryRow], condition: Callable[[DiscoveryRow], bool]) -> str:
    return next((str(row.step) for row in curve if condition(row)), "never")


def _squares(rows: Sequence[DiscoveryRow]) -> Point:
    table = []
    for operation in ("x2_y2", "add+mul+x2_y2"):
        for source in ("edge", "random"):
            for row in _of(stop_rows(rows, source), operation):
                best = row.known[0] if row.known else None
                known = "—" if best is None else f"{best.grouping}: {best.share:.3f} (p {best.pvalue_adjusted:.3f})"
                round_ones = f"{len(row.dispersions)} of {row.dimension} dimensions"
                table.append((operation, str(row.seed), source, row.answer, row.law or "none", round_ones, known))
    return Point(
        "6. x² + y², where no single harmonic basis works",
        "What is found alone and on a trunk shared with addition and multiplication (nonzero residues).",
        ("model", "seed", "directions", "answer", "law found", "circles", "best known grouping"),
        tuple(table),
    )


def _alternatives(rows: Sequence[DiscoveryRow]) -> Point:
    table = []
    for source, name in _SOURCE_NAMES.items():
        found = stop_rows(rows, source)
        mod_97 = [row for operation in ("add", "sub", "mul") for row in _of(found, operation)]
        groups = [row for op, p in (("add", 91), ("velocity", 98)) for row in _of(found, op, p)]
        others = [row for op, p in (("dihedral", 90), ("symmetric", 120)) for row in _of(found, op, p)]
        times = [row.seconds for row in found]
        seconds = f"{np.median(times):.1f}" if times else "—"
        table.append((name, _recovered(mod_97), _recovered(groups), _recovered(others), seconds))
    return Point(
        "7. Against alternatives on the same models",
        "The same procedure on other functions of the same models. An embedding or an energy has only the group: "
        "whether the task is a ∘ b or a ∘ b⁻¹ it cannot tell, so there a sum may stand for a difference.",
        ("functions", "add, sub, mul mod 97", "Z_91, Z_98", "D_45, S_5", "median seconds"),
        tuple(table),
    )


def _sample_efficiency(rows: Sequence[DiscoveryRow]) -> Point:
    fewer = [row for row in rows if not _has_all_pairs(row)]
    known = sorted({round(row.pairs_known, 2) for row in fewer})
    curves = {row.run_id for row in fewer}
    table = []
    for source in ("edge", "logits"):
        at = [[row for row in fewer if row.source == source and round(row.pairs_known, 2) == share] for share in known]
        whole = [row for row in stop_rows(rows, source) if row.run_id in curves]
        table.append((_SOURCE_NAMES[source], *(_recovered(found) for found in at), _recovered(whole)))
    return Point(
        "7b. With fewer pairs",
        "Recovered from a random share of the pairs, the others unknown: addition, subtraction, multiplication mod 97.",
        ("functions", *(f"{share:.0%} of pairs" for share in known), "all pairs"),
        tuple(table),
    )
