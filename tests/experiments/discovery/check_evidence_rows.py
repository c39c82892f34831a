import numpy as np
import pytest

from spectral_edge.bases import operation
from spectral_edge.experiments.discovery import (
    analysis_step,
    curve_of,
    discover_at,
    discover_source,
    functions_of,
    seven_points,
    stop_rows,
)
from spectral_edge.subjects.profiles import discovery_runs
from spectral_edge.subjects.trained_run import TrainedRun
from spectral_edge.subjects.training_run import run_folder
from support.tiny_runs import EVIDENCE_RUNS as RUNS
from support.tiny_runs import TINY_ANALYSIS


def test_every_run_is_read_from_every_source_it_has(gathered):
    _, found, said = gathered
    assert len(said) == len(RUNS)
    sources = {run.training.operation: set() for run in RUNS}
    for row in found.rows:
        name = row.operation if row.renaming is None else f"{row.operation}.renamed{row.renaming}"
        sources[name].add(row.source)
    learned = {"edge", "random", "shuffled", "embedding", "residual", "logits"}
    assert sources["add.renamed1"] == learned
    assert sources["dihedral"] == learned | {"untrained", "v1", "random_one", "energy"}
    assert sources["random_table"] == {"edge", "random", "shuffled", "untrained"}


def test_a_row_says_where_it_came_from(gathered):
    _, found, _ = gathered
    edge = next(row for row in found.rows if row.source == "edge" and row.operation == "mul")
    assert (edge.step, edge.window, edge.stride, edge.centered, edge.directions) == (60, 9, 5, True, 8)
    random = next(row for row in found.rows if row.source == "random" and row.operation == "mul")
    assert (random.window, random.directions) == (None, edge.directions)
    untrained = next(row for row in found.rows if row.source == "untrained")
    assert (untrained.step, untrained.test_accuracy) == (0, None)
    assert all(row.agreement is None for row in found.rows if row.operation == "random_table")


def test_the_seven_points_have_a_row_for_what_was_measured(gathered):
    _, found, _ = gathered
    points = seven_points(found.rows)
    assert [point.title[0] for point in points] == list("12345677")
    assert all(len(row) == len(point.columns) for point in points for row in point.rows)
    add = points[0].rows[0]
    assert add[0] == "add"
    assert add[1].startswith(("0 of 0", "0 of 1", "1 of 1", "—"))


def test_functions_of_a_run_are_responses_on_its_own_tokens(gathered):
    out, _, _ = gathered
    run = TrainedRun.open(run_folder(out, RUNS[1]))
    step = analysis_step(run, TINY_ANALYSIS)
    functions = functions_of(run, step, "edge", TINY_ANALYSIS)
    assert functions.values.shape == (8, 144, 16)
    assert functions.tokens.tolist() == list(range(1, 13))  # 0 is left out of multiplication
    assert (functions.tokens[functions.pairs] == operation("mul").pairs(13)).all()
    shuffled = functions_of(run, step, "shuffled", TINY_ANALYSIS)
    assert not np.array_equal(shuffled.values, functions.values)
    assert np.sort(shuffled.values, axis=1) == pytest.approx(np.sort(functions.values, axis=1))


def test_a_share_of_the_pairs_is_scored_on_all_of_them(gathered):
    out, _, _ = gathered
    run = TrainedRun.open(run_folder(out, RUNS[1]))
    row = discover_source(run, 60, "logits", TINY_ANALYSIS, fraction=0.5)
    assert row.pairs_known == 0.5
    assert row.source == "logits"


def test_a_discovery_is_laid_out_for_drawing(gathered):
    out, _, _ = gathered
    run = TrainedRun.open(run_folder(out, RUNS[0]))
    found, picture = discover_at(run, 60, "edge", TINY_ANALYSIS)
    assert sorted(picture.arrangement.tolist()) == list(range(13))
    assert (picture.position[picture.arrangement] == np.arange(13)).all()
    assert picture.function.shape == (13, 13)
    assert picture.answer.startswith(found.answer)


def test_curves_and_stops_are_told_apart():
    from spectral_edge.store import DiscoveryRow

    def row(step, source, known=1.0):
        return DiscoveryRow(
            run_id="r", operation="add", renaming=None, p=97, seed=42, step=step, test_accuracy=0.5, source=source,
            directions=8, window=20, stride=100, centered=True, null_draws=100, null_seed=0, pairs_known=known,
            answer="sum", pvalue=0.01, evenness=0.1, commutator=0.1, dimension=10, interaction_share=0.5,
            dispersions=[], frequencies=None, law=None, kind=None, law_share=None, law_pvalue=None, task_share=0.1,
            agreement=None, group_agreement=None, recovered=False, known=[], seconds=1.0,
        )  # fmt: skip

    rows = [row(300, "edge"), row(3300, "edge"), row(600, "edge"), row(3300, "logits"), row(3300, "edge", 0.5)]
    assert [one.step for one in stop_rows(rows, "edge")] == [3300]
    assert [one.step for one in stop_rows([*rows, rows[1]], "edge")] == [3300]  # once, also where a curve passes by
    assert [one.step for one in curve_of(rows, "r", "edge")] == [300, 600, 3300]


def test_the_evidence_has_five_renamings_of_three_operations_and_three_seeds():
    runs = discovery_runs()
    renamed = [run.training for run in runs if ".renamed" in run.training.operation]
    assert len(renamed) == len({(t.operation, t.seed) for t in renamed}) == 45
    assert len({run.run_id for run in runs}) == len(runs)
