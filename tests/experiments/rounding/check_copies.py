import numpy as np
import pytest
import torch

from spectral_edge.bases import grouping
from spectral_edge.comparison import iterate_random_directions
from spectral_edge.experiments.rounding import compare_copies, measure_copy, rounding_runs
from spectral_edge.grokking import ModularTransformer
from spectral_edge.modes import functional_modes
from spectral_edge.parameters import attention_weights
from spectral_edge.replication import AnalysisConfig, analyze_run
from spectral_edge.statistics import fourier_profile
from spectral_edge.store import Rounding, RunDirectory
from spectral_edge.subjects import run_folder, train_run
from spectral_edge.subjects.profiles import GROKKING, SEEDS
from spectral_edge.subjects.trained_run import TrainedRun
from support.tiny_runs import TINY_ANALYSIS, tiny

# Any accuracy will do as a stop, at the tenth evaluation, step 50: the window fits, and weights have parted.
STOP = {"stop_accuracy": 1e-9, "stop_patience": 10}
RATES = [run.training.learning_rate for run in rounding_runs()[:3]]
RUNS = [tiny(seed=seed, learning_rate=rate, **STOP) for seed in (1, 2) for rate in RATES]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("rounding")
    said = []
    return out, compare_copies(out, RUNS, TINY_ANALYSIS, jobs=1, say=said.append), said


def test_copies_are_the_published_protocol_and_its_nearest_neighbours_in_float32():
    runs = rounding_runs()
    assert len({run.run_id for run in runs}) == len(runs) == 60
    assert {(run.training.operation, run.training.seed) for run in runs} == {(o, s) for o in GROKKING for s in SEEDS}
    rates = sorted({run.training.learning_rate for run in runs})
    assert rates[0] == 1e-3
    assert np.diff(np.array(rates, dtype=np.float32).view(np.int32)).tolist() == [1] * 4


def test_copies_of_a_seed_start_equal_and_part_and_seeds_are_far_apart(compared):
    _, found, _ = compared
    copies = [p for p in found.partings if p.same_seed]
    seeds = [p for p in found.partings if not p.same_seed]
    assert (len(copies), len(seeds)) == (4, 1)
    for parting in copies:
        assert parting.steps == list(range(0, 51, 5))
        assert parting.distance[0] == 0
        assert 0 < parting.distance[-1] < 1e-3
    assert min(seeds[0].distance) > 0.5


def test_the_distance_is_over_the_norm_of_the_other_run(compared):
    out, found, _ = compared
    parting = next(p for p in found.partings if not p.same_seed)
    assert (parting.run_id, parting.other_run_id) == (RUNS[0].run_id, RUNS[3].run_id)
    theta, other = (TrainedRun.open(run_folder(out, run)).weights_at(20).numpy() for run in (RUNS[0], RUNS[3]))
    expected = np.sqrt(((theta.astype(float) - other) ** 2).sum() / (other.astype(float) ** 2).sum())
    assert parting.distance[parting.steps.index(20)] == pytest.approx(expected)


def test_a_row_is_what_the_study_of_modes_measures(compared):
    """Another path to the same numbers: random directions and modes in one pass, grouped once for all claims."""
    out, found, _ = compared
    row = found.copies[1]
    claims = analyze_run(run_folder(out, RUNS[1]), TINY_ANALYSIS, claims=("C6",)).rows
    asked = ("final", "concentration", "sum", "test")
    own = {r.direction: r for r in claims if (r.checkpoint, r.statistic, r.grouping, r.inputs) == asked}
    names = [f"v{k}" for k in range(1, 6)]
    assert row.concentration == pytest.approx([own[name].measured for name in names])
    assert row.peak == [own[name].peak for name in names]
    assert (row.copy_number, row.step, row.seed, row.grouping) == (1, own["v1"].step, 1, "sum")
    assert row.step == 50
    assert np.mean(row.random_concentration) == pytest.approx(own["v1"].null.mean)


def test_random_directions_are_those_of_the_null(compared):
    out, found, _ = compared
    run = TrainedRun.open(run_folder(out, RUNS[0]))
    model = ModularTransformer(13, ("add",), 16, 2, 2, 16)
    model.load_state_dict(run.run.read_snapshot(50))
    directions = torch.cat(list(iterate_random_directions(20, attention_weights(model), seed=TINY_ANALYSIS.seed)))
    test = run.task.pairs[run.task.split(0.5, 1).test]
    energy = functional_modes(model, directions, test, method="central_difference").energy.numpy()
    profile = fourier_profile(energy, grouping("sum", 13)(test), 13)
    assert found.copies[0].random_concentration == pytest.approx(profile.concentration, rel=0.02)
    assert np.mean(np.array(found.copies[0].random_peak) == profile.peak) > 0.9  # of equal powers either may win


def test_what_is_stored_is_what_was_found_and_nothing_is_trained_again(compared):
    out, found, said = compared
    assert len(said) == len(RUNS)
    assert Rounding.read(out / "rounding.json") == found
    before = {run.run_id: run_folder(out, run).joinpath("index.jsonl").stat().st_mtime_ns for run in RUNS}
    again = compare_copies(out, RUNS, TINY_ANALYSIS, jobs=1)
    assert (again.copies, again.partings) == (found.copies, found.partings)
    assert {run.run_id: run_folder(out, run).joinpath("index.jsonl").stat().st_mtime_ns for run in RUNS} == before


def test_a_run_that_never_stops_is_named(tmp_path):
    train_run(tmp_path / "run", tiny())
    assert RunDirectory.open(tmp_path / "run").status["grokked"] is False
    with pytest.raises(ValueError, match="run: the run never met the stopping rule"):
        measure_copy(tmp_path / "run", AnalysisConfig())


def test_a_stop_before_the_first_full_window_is_measured_at_that_window(tmp_path):
    train_run(tmp_path / "run", tiny(min_steps=60, **STOP | {"stop_patience": 2}))
    assert TrainedRun.open(tmp_path / "run").stop_step == 10
    assert measure_copy(tmp_path / "run", TINY_ANALYSIS).step == 45
