"""The rows of a step against the same numbers computed by hand from the model and its directions."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import spectral_edge as se
from spectral_edge.comparison import compare
from spectral_edge.replication.analysed_step import AnalysedStep
from spectral_edge.replication.claims.line import ClaimLine, alone, best, mean, mixture
from spectral_edge.replication.modes import MODES
from spectral_edge.replication.modes import step as step_module
from spectral_edge.replication.modes.quantities import Quantities, Quantity
from spectral_edge.replication.modes.rows import StepRows, against
from spectral_edge.replication.modes.step import StepComparison
from spectral_edge.subjects import run_folder, train_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS, tiny

STEP, P = 60, 13


@pytest.fixture(scope="module")
def run(trained):
    return TrainedRun.open(trained["x2_y2"])


@pytest.fixture(scope="module")
def step(run):
    return StepComparison.at(AnalysedStep(run, TINY_ANALYSIS, "stop", STEP))


@pytest.fixture(scope="module")
def rows(step):
    return StepRows(step, None)


def energies(run, directions):
    model, parameters = run.model_at(STEP)
    return se.functional_modes(model, directions, run.task.pairs, parameters=parameters).energy.numpy()


def random_directions(run):
    parameters = run.model_at(STEP)[1]
    return torch.cat(list(se.iterate_random_directions(20, parameters, seed=TINY_ANALYSIS.seed)))


def test_it_is_compared_once_a_step(run, step):
    assert StepComparison.at(AnalysedStep(run, TINY_ANALYSIS, "stop", STEP)) is step
    assert StepComparison.at(AnalysedStep(run, TINY_ANALYSIS, "transition", 55)) is not step
    other = TINY_ANALYSIS.model_copy(update={"seed": 1})
    assert StepComparison.at(AnalysedStep(run, other, "stop", STEP)) is not step


def test_losses_are_differentiated_along_every_direction(run, step):
    model, _ = run.model_at(STEP)
    a, b = torch.from_numpy(run.task.pairs).T
    h = model(a, b, return_residual=True)[1].detach().double().requires_grad_()
    double = copy.deepcopy(model).double()
    loss = F.cross_entropy(double.head(double.ln(h)), torch.from_numpy(run.task.labels), reduction="sum")
    gradient = torch.autograd.grad(loss, h)[0]
    model, parameters = run.model_at(STEP)
    response = se.functional_modes(model, step.edge.directions(8), run.task.pairs, parameters=parameters).response
    np.testing.assert_allclose(step.kept("loss")[0][:, 0], (response.double() * gradient).sum(-1), rtol=1e-3, atol=1e-7)
    assert step.kept("loss")[1].shape == (20, 1, len(run.task.pairs))


def profile(run, values, basis="output:x2_y2"):
    test = run.task.split(run.training.frac_train, run.training.seed).test
    q = se.grouping(basis, P)
    return se.fourier_profile(values[:, test], q(run.task.pairs[test]), q.order)


def test_a_mixture_is_measured_along_its_own_direction(run, step, rows):
    v = step.edge.directions(3)
    mixed = profile(run, energies(run, (v.sum(0) / 3**0.5)[None]))
    row = rows.row(ClaimLine("C13", "x2_y2", mixture(1, 2, 3), "concentration", "output:x2_y2"))
    assert row.measured == pytest.approx(mixed.concentration[0], rel=1e-4)
    assert row.top == mixed.strongest(3)[0].tolist()
    singles = profile(run, energies(run, random_directions(run))).concentration
    assert row.null.mean == pytest.approx(singles.mean(), rel=1e-4)  # one more random direction is its null


def test_the_overlap_of_a_mixture_and_its_components_has_its_closed_form(run, step, rows):
    v = step.edge.directions(3)
    mixed = profile(run, energies(run, ((v[0] + v[2]) / 2**0.5)[None])).strongest(3)[0].tolist()
    first, third = profile(run, energies(run, v)).strongest(3)[[0, 2]].tolist()
    ranked = [first[0], third[0], first[1], third[1], first[2], third[2]]
    union = list(dict.fromkeys(ranked))[:3]
    row = rows.row(ClaimLine("C13", "x2_y2", mixture(1, 3), "jaccard", "output:x2_y2"))
    assert row.measured == len(set(union) & set(mixed)) / len(set(union) | set(mixed))
    assert row.null.n == 20 // 3
    assert row.permutation_null is None


def test_a_peak_is_held_against_where_random_directions_peak(run, rows):
    line = ClaimLine("C9", "x2_y2", alone(1), "concentration", "output:x2_y2")
    row, peaks = rows.row(line), profile(run, energies(run, random_directions(run))).peak
    counts = np.bincount(np.append(peaks, row.peak), minlength=7)
    assert row.peak_null.same == (peaks == row.peak).sum()
    assert row.peak_null.pvalue == pytest.approx(((counts[peaks] <= counts[row.peak]).sum() + 1) / 21)
    assert (row.permutation_peak_null.kind, row.permutation_peak_null.n) == ("input_permutation", 20)


def test_aggregates_are_held_against_aggregates(step, rows):
    line = ClaimLine("C9", "x2_y2", best((1, 2, 3)), "concentration", "output:x2_y2")
    singles = [rows.row(ClaimLine("C9", "x2_y2", alone(i), "concentration", "output:x2_y2")) for i in (1, 2, 3)]
    row = rows.row(line)
    assert row.measured == max(single.measured for single in singles)
    assert row.top == max(singles, key=lambda single: single.measured).top
    assert row.null.mean > singles[0].null.mean  # the best of three random directions, not one
    assert row.peak_null is row.permutation_peak_null is None
    mean_of = rows.row(ClaimLine("C9", "x2_y2", mean((1, 2, 3)), "concentration", "output:x2_y2"))
    assert mean_of.measured == pytest.approx(np.mean([single.measured for single in singles]))
    assert mean_of.null.std < singles[0].null.std
    assert mean_of.top is None


def test_pooled_aggregates_are_calibrated():
    """Edge values drawn like null values: p-values of mean and best are not too small too often."""
    rng = np.random.default_rng(1)
    small = {mean: 0, best: 0}
    for _ in range(150):
        values = rng.exponential(size=40)
        for combined in small:
            line = ClaimLine("C3", "add", combined((1, 2, 3)), "head_purity")
            small[combined] += against(line, values[:3], values[3:], int(rng.integers(1e6)))[1].pvalue <= 0.1
    limit = 150 * 0.1 + 3 * np.sqrt(150 * 0.1 * 0.9)
    assert small[mean] <= limit
    assert small[best] <= limit


@pytest.fixture
def shared(tmp_path):
    config = tiny("add+x2_y2", nonzero=True)
    train_run(run_folder(tmp_path, config), config)
    return TrainedRun.open(run_folder(tmp_path, config))


def test_several_tasks_have_no_claims_about_modes_but_losses(shared):
    found = StepComparison.at(AnalysedStep(shared, TINY_ANALYSIS, "final", STEP))
    assert found.lines == []
    assert found.kept("loss")[1].shape == (20, 2, len(shared.task.pairs))


@pytest.mark.parametrize(
    ("quantity", "message"),
    [
        (Quantity("beauty", "sum", "test"), "unknown statistic 'beauty'"),
        (Quantity("concentration", None, "test"), "needs a grouping"),
        (Quantity("concentration", "sum", "all_diagonal_averaged"), "not defined on inputs"),
    ],
)
def test_a_quantity_that_does_not_exist_is_named(run, quantity, message):
    with pytest.raises(ValueError, match=message):
        Quantities(run, run.model_at(STEP)[1]).statistic(quantity)


def test_a_device_that_is_not_there_is_named(run):
    if torch.cuda.is_available():
        pytest.skip("asks for a device that is not there")
    config = TINY_ANALYSIS.model_copy(update={"device": "cuda"})
    with pytest.raises(ValueError, match=r"device cuda: .* choose cpu"):
        StepComparison.at(AnalysedStep(run, config, "stop", STEP))


def test_an_interrupted_comparison_is_not_taken_for_a_whole_one(run, monkeypatch):
    def interrupted(*arguments, **settings):
        return replace(compare(*arguments, **settings), complete=False)

    monkeypatch.setattr(step_module, "compare", interrupted)
    here = AnalysedStep(run, TINY_ANALYSIS.model_copy(update={"seed": 7}), "stop", STEP)
    with pytest.raises(KeyboardInterrupt):
        StepComparison.at(here)
    monkeypatch.undo()
    assert StepComparison.at(here).result.complete


def test_an_operation_of_which_the_paper_says_nothing_has_no_rows(tmp_path):
    config = tiny("div")
    train_run(run_folder(tmp_path, config), config)
    found = MODES.measure(
        TrainedRun.open(run_folder(tmp_path, config)),
        TINY_ANALYSIS.model_copy(update={"phases": "all"}),
        lambda s: None,
    )
    assert found.rows == []
    assert found.analysed_steps == {"final": 60}
