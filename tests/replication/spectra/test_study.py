import numpy as np
import pytest
import torch

from oracles.displacement import displacement_sigma, window_sigma
from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication import AnalysisConfig
from spectral_edge.replication.spectra.history import UpdateWindows, settings_of
from spectral_edge.replication.spectra.study import SPECTRA
from spectral_edge.store import Analysis
from spectral_edge.subjects import run_folder, train_run
from spectral_edge.subjects.trained_run import TrainedRun
from support.synthetic import make_summary
from support.tiny_runs import tiny

CONFIG = AnalysisConfig(window=9, stride=5, random_directions=20, permutations=20)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run of 75 steps, 15 snapshots 5 steps apart, whose per-step Gram matrices have 12 rows."""
    config = tiny(max_steps=75).model_copy(update={"window": 12})
    path = run_folder(tmp_path_factory.mktemp("spectra"), config)
    train_run(path, config)
    run = TrainedRun.open(path)
    return run, SPECTRA.measure(run, CONFIG, lambda stage: None)


def row_of(rows, **wanted):
    found = [row for row in rows if all(getattr(row, key) == value for key, value in wanted.items())]
    assert len(found) == 1, (wanted, found)
    return found[0]


def test_spectra_over_time_are_those_of_each_window_by_itself(measured):
    run, findings = measured
    theta = [run.weights_at(step) for step in range(0, 80, 5)]
    assert settings_of(findings.arrays) == [
        UpdateWindows(9, 1),
        UpdateWindows(9, 5),
        UpdateWindows(10, 1),
        UpdateWindows(10, 5),
    ]
    steps = findings.arrays["spectra.w10.stride5.steps"]
    assert steps.tolist() == list(range(50, 80, 5))
    for i, step in enumerate(steps):
        expected = window_sigma(theta, step // 5, 1, 10)
        np.testing.assert_allclose(findings.arrays["spectra.w10.stride5.singular_values"][i], expected, rtol=1e-5)
        np.testing.assert_allclose(
            findings.arrays["spectra.w10.stride5.update_norm"][i], (expected**2).mean(), rtol=1e-5
        )
        expected = displacement_sigma(theta, step // 5, False)[:4]
        at = findings.arrays["spectra.displacement.steps"].tolist().index(step)
        np.testing.assert_allclose(findings.arrays["spectra.displacement.singular_values"][at], expected, rtol=1e-5)
    query = run.run.read_snapshot(75)["encoder.layers.1.self_attn.in_proj_weight"][:16]
    np.testing.assert_allclose(
        findings.arrays["spectra.weights.layer1.W_Q.singular_values"][-1],
        torch.linalg.svdvals(query.double())[:4].numpy(),
        rtol=1e-6,
    )


def test_per_step_spectra_are_of_the_last_updates(measured):
    run, findings = measured
    lines = [line for line in run.metrics if line["gram_matrix"]]
    assert findings.arrays["spectra.w10.stride1.steps"].tolist() == [line["step"] for line in lines]
    last = np.sort(np.linalg.eigvalsh(np.array(lines[-1]["gram_matrix"])[2:, 2:]))[::-1]
    assert findings.arrays["spectra.w10.stride1.g23"][-1] == pytest.approx(last[1] - last[2], rel=1e-6)


def test_g23_decline_of_a_run_that_does_not_grok_is_first_over_last_window(measured):
    run, findings = measured
    theta = [run.weights_at(step) for step in range(0, 80, 5)]
    first, last = (window_sigma(theta, end, 1, 10) for end in (10, 15))
    row = row_of(findings.rows, statistic="g23_decline", stride=5, window=10)
    assert run.grok_step is None
    assert row.measured == pytest.approx((first[1] ** 2 - first[2] ** 2) / (last[1] ** 2 - last[2] ** 2), rel=1e-4)
    assert (row.step, row.centered, row.published) == (75, False, None)
    row = row_of(findings.rows, statistic="gap_ratio_jump", stride=5, window=10)
    assert row.measured == pytest.approx((last[0] / last[1]) / (first[0] / first[1]), rel=1e-5)
    per_step = row_of(findings.rows, statistic="update_norm_decline", stride=1, window=10)
    grams = {line["step"]: np.trace(np.array(line["gram_matrix"])[2:, 2:]) for line in run.metrics if line["step"] > 10}
    assert per_step.measured == pytest.approx(grams[50] / grams[75], rel=1e-6)  # early as for the other strides


def test_every_row_of_c2_has_its_null(measured):
    rows = [row for row in measured[1].rows if row.claim == "C2"]
    assert all(row.null is not None for row in rows)
    kinds = {row.statistic: row.null.kind for row in rows}
    assert kinds == {
        "rank_correlation": "circular_shift",
        "rank_correlation:increments": "circular_shift",
        "weight_gap_ratio": "untrained",
        "explained_variance": "random_walk",
    }
    assert {r.null.alternative for r in rows if (r.grouping or "").startswith("g23~")} == {"less"}


def test_a_run_that_is_too_short_says_so(measured):
    said = []
    findings = SPECTRA.measure(measured[0], AnalysisConfig(window=9, stride=25), said.append)
    assert any("fewer than 11 updates" in text for text in said)
    assert not [row for row in findings.rows if row.claim == "C1"]


def test_shared_trunks_and_nonzero_residues_are_not_its_business():
    assert SPECTRA.applies(TrainingConfig(operation="add"))
    assert not SPECTRA.applies(TrainingConfig(operation="add", nonzero=True))
    assert not SPECTRA.applies(TrainingConfig(operation="add+mul", nonzero=True))


def planted(task, seed, weight_decay, grok, decline, split=1.0, protocol=None):
    """An analysed run whose g23 falls by ``decline`` until step 3 000 and by ten times that until 5 000."""
    steps = np.arange(1000, 5001, 100)
    rng = np.random.default_rng(seed + hash_of(task) + int(weight_decay))
    g23 = np.where(steps < 3000, 1.0, np.where(steps < 5000, 1 / decline, 0.1 / decline))
    jump = np.where(steps >= (grok or 9e9), 2.0, 1.0)
    noise = 1 + 0.01 * rng.random((4, len(steps)))
    arrays = {}
    for window in (10, 20):
        key = f"spectra.w{window}.stride100."
        arrays[f"{key}steps"] = steps
        for name in ("g23", "g23_share"):
            arrays[key + name] = g23
        arrays[f"{key}update_norm"] = np.ones(len(steps))
        arrays[f"{key}gap_ratio"] = jump * noise[0]
    arrays["spectra.displacement.steps"] = np.arange(100, 5001, 100)
    pair = np.ones((50, 4))
    pair[9:, 0] = jump * noise[1]
    arrays["spectra.displacement.singular_values"] = pair
    arrays["spectra.weights.steps"] = np.arange(0, 5001, 100)
    arrays["spectra.weights.norm"] = np.ones(51)
    arrays["spectra.weights.width"] = np.array([128])
    for letter, n in (("Q", 2), ("K", 3)):
        sigma = np.ones((51, 4))
        sigma[10:, 0] = (1 + (split - 1) * (jump - 1)) * noise[n]
        arrays[f"spectra.weights.layer0.W_{letter}.singular_values"] = sigma
    return Analysis([], make_summary(task, seed, weight_decay, grok, protocol), arrays)


def hash_of(task):
    return sum(task.encode())


@pytest.fixture(scope="module")
def table():
    """Two operations grok, at moments of their own; controls decline by 3 up to the matched step, by 30 to the end."""
    grokking = [
        planted(task, seed, 1.0, 3000 + 100 * i + 300 * j, 40.0, split=3.0)
        for j, task in enumerate(("add", "mul"))
        for i, seed in enumerate((42, 137, 2024))
    ]
    controls = [planted(task, seed, 0.0, None, 3.0) for task in ("add", "mul") for seed in (42, 137, 2024)]
    others = [planted("x3_xy", seed, decay, None, 1.1) for decay in (1.0, 0.0) for seed in (42, 137, 2024)]
    return SPECTRA.across([*controls, *grokking, *others])


def test_groups_are_made_by_what_runs_did_and_stand_beside_the_published_numbers(table):
    main = {"window": 10, "stride": 100}
    grokked = row_of(table, statistic="g23_decline", grouping="grokked", **main)
    assert (grokked.measured, grokked.published, grokked.seeds) == (pytest.approx(40), 40.0, [42, 137, 2024])
    control = row_of(
        table, statistic="g23_decline", weight_decay=0.0, grouping="operations that grok, run that did not", **main
    )
    assert control.measured == pytest.approx(30)
    assert control.published is None  # published for stride 500
    other = row_of(table, statistic="g23_decline", weight_decay=1.0, grouping="operations that never grok", **main)
    assert (other.measured, other.published) == (pytest.approx(11), 1.5)
    share = row_of(table, statistic="g23_decline:fraction", grouping="grokked", **main)
    assert (share.measured, share.published, share.interval.method) == (1.0, 1.0, "exact")


def test_matched_steps_end_controls_where_their_relatives_grok(table):
    found = [r for r in table if r.statistic == "g23_decline:matched:geometric_mean" and r.window == 10]
    means = {(r.grouping, r.weight_decay): r.measured for r in found}
    assert means["operations that grok, run that did not", 0.0] == pytest.approx(3)
    assert means["operations that never grok", 0.0] == pytest.approx(1.1)
    share = row_of(
        table,
        statistic="g23_decline:matched:fraction",
        window=10,
        grouping="operations that never grok",
        weight_decay=1.0,
    )
    assert share.measured == 0


def test_auc_of_a_statistic_of_its_baseline_and_within_one_weight_decay(table):
    auc = row_of(table, statistic="auc", grouping="g23_decline:matched", window=10)
    assert auc.measured == 1
    assert auc.null.pvalue == pytest.approx(1 / 15, abs=0.02)  # 2 of 6 conditions
    assert row_of(table, statistic="auc", grouping="update_norm_decline:matched", window=10).measured == 0.5
    inside = row_of(table, statistic="auc:same_weight_decay", grouping="g23_decline:matched", window=10)
    assert inside.interval.n == 9
    assert row_of(table, statistic="auc", grouping="weight_decay").measured == pytest.approx((9 + 3 / 2) / 12)


def test_spectra_that_jump_when_their_own_run_groks_agree_best_within_the_run(table):
    row = row_of(table, statistic="rank_correlation:same_run", grouping="gap_ratio~W_Q")
    assert row.measured > row.null.mean + 0.02
    assert row.null.pvalue < 0.05
    flat = row_of(table, statistic="rank_correlation:same_run", grouping="g23~displacement")
    assert flat.null.pvalue > 0.05  # g23 falls at step 3 000 in every run, whenever that groks
    split = row_of(table, claim="C2", statistic="auc", direction="layer0.W_Q", grouping="weight_gap_ratio:matched")
    assert split.measured == 1


def test_other_protocols_have_no_published_numbers():
    protocol = {"p": 13}
    rows = SPECTRA.across(
        [
            planted("add", 42, 1.0, 3000, 40.0, protocol=protocol),
            planted("x3_xy", 42, 1.0, None, 1.0, protocol=protocol),
        ]
    )
    assert rows
    assert all(row.published is None for row in rows)


def test_nothing_is_said_without_runs():
    assert SPECTRA.across([]) == []
