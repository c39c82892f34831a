import numpy as np
import pytest

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.shared_trunk.contrasts import across_models, model_name, shared_frequencies
from spectral_edge.store import Analysis, ClaimRow, RunSummary

N = 48
DRAWS = 60


def shares_at(frequency, share, rows):
    rest = (1 - share) / (N - 1)
    found = np.full((rows, N), rest)
    found[:, frequency - 1] = share
    return found


def analysis(training, edge, random, addition=None, synergies=(0.04, 0.02), checkpoint="stop"):
    """A model whose directions all have the same spectrum: (frequency, share) of the edge and of random directions."""
    name = model_name(training)
    subject = "x2_y2" if "x2_y2" in training.operations else training.operation
    row = ClaimRow(
        claim="C11", task=subject, model=name, seed=training.seed, checkpoint=checkpoint, stride=100, window=20,
        direction="v1", statistic="concentration", measured=0.1,
    )  # fmt: skip
    summary = RunSummary(
        run_id="x", task=training.operation, seed=training.seed, weight_decay=1.0, steps=1, grok_step=1,
        test_accuracy=1.0,
    )  # fmt: skip
    arrays = {}
    for reading in ("trunk", *(f"head_{task}" for task in training.operations)):
        for basis in ("sum", "output:x2_y2"):
            arrays[f"shared_trunk.{reading}.{basis}.edge"] = shares_at(*edge, 3)
            arrays[f"shared_trunk.{reading}.{basis}.random"] = random
        for of, value, k in (("edge", synergies[0], 3), ("random", synergies[1], DRAWS)):
            r2 = np.zeros((2, 3, k))
            r2[:, 2] = value
            arrays[f"shared_trunk.{reading}.r2.{of}"] = r2
    for task in training.operations:
        own = addition if task == "add" else 40
        arrays[f"shared_trunk.frequencies.head_{task}"] = shares_at(own, 0.5, 1)[0]
    return Analysis([row], summary, arrays)


def training(operation, seed=42, nonzero=True):
    return TrainingConfig(operation=operation, seed=seed, nonzero=nonzero)


def find(rows, statistic, direction=None, grouping=None, model=None):
    (row,) = [
        r
        for r in rows
        if r.statistic == statistic
        and (direction is None or r.direction == direction)
        and (grouping is None or r.grouping == grouping)
        and (model is None or r.model == model)
    ]
    return row


def mixed_random(frequency, hits):
    """Random directions of which ``hits`` peak at the frequency and the others at 1."""
    return np.concatenate([shares_at(frequency, 0.3, hits), shares_at(1, 0.3, DRAWS - hits)])


def test_coincidence_counts_models_and_its_null_are_the_peaks_of_random_directions():
    models = [analysis(training("add+mul+x2_y2", s), (26, 0.3), mixed_random(26, 18), 26) for s in (1, 2, 3)]
    models += [analysis(training("add+x2_y2", s), (26, 0.3), mixed_random(26, 18), 26) for s in (1, 2)]
    row = find(across_models(models), "peak_is_addition:top1", "v1", "sum")
    assert (row.measured, row.seed, row.seeds) == (1.0, None, [1, 2, 3])
    # Clopper-Pearson of 5 successes in 5: low^5 = 0.025.
    assert (row.interval.low, row.interval.high, row.interval.n) == (pytest.approx(0.025**0.2), 1.0, 5)
    assert find(across_models(models), "peak_is_addition:top1", "mean(v1..v3)", "sum").interval is None
    assert row.null.mean == pytest.approx(19 / 61, abs=0.02)  # 18 of 60 random ones, and the edge itself
    assert row.null.pvalue == pytest.approx((19 / 61) ** 5, abs=0.005)


def test_an_edge_that_peaks_where_all_random_directions_do_is_no_evidence():
    models = [analysis(training("add+x2_y2", s), (26, 0.3), mixed_random(26, DRAWS), 26) for s in (1, 2)]
    assert find(across_models(models), "peak_is_addition:top1", "mean(v1..v3)", "sum").null.pvalue == 1.0


def test_the_frequency_is_each_model_s_own():
    models = [
        analysis(training("add+x2_y2", 1), (26, 0.3), mixed_random(2, 30), 26),
        analysis(training("add+x2_y2", 2), (26, 0.3), mixed_random(2, 30), 7),
    ]
    row = find(across_models(models), "peak_is_addition:top1", "v1", "sum")
    assert row.measured == 0.5
    # (1 - q)^2 = 0.025 and q^2 = 0.025 at one success in two.
    assert row.interval.low == pytest.approx(1 - 0.975**0.5)
    assert row.interval.high == pytest.approx(0.975**0.5)


def contrast(shares, random_shared=None, operation="add+x2_y2"):
    models = []
    for seed, (shared, alone) in shares.items():
        random = mixed_random(30, 0) if random_shared is None else random_shared
        addition = 20 if "add" in operation else None
        models.append(analysis(training(operation, seed), (20, shared), random, addition, (0.05 + seed / 100, 0.02)))
        models.append(analysis(training("x2_y2", seed), (20, alone), mixed_random(30, 0)))
        models.append(analysis(training("add", seed), (20, 0.5), mixed_random(30, 0), 20))
    return across_models(models)


def test_power_ratio_is_geometric_over_seeds_with_a_t_interval_of_logs():
    row = find(contrast({1: (0.2, 0.1), 2: (0.8, 0.1)}), "power_share_ratio:nonzero", "mean(v1..v3)", "sum")
    assert row.measured == pytest.approx(4.0)
    half = 12.7062 * np.std(np.log([2, 8]), ddof=1) / np.sqrt(2)
    assert row.interval.low == pytest.approx(np.exp(np.log(4) - half), rel=1e-4)
    assert row.interval.high == pytest.approx(np.exp(np.log(4) + half), rel=1e-4)
    assert (row.peak, row.seeds, row.model) == (20, [1, 2], "add+x2_y2")
    (features,) = row.further_nulls
    assert (features.kind, features.n, features.pvalue) == ("random_features", N - 1, pytest.approx(1 / N))


def test_growth_of_the_edge_only_is_reached_by_no_draw():
    as_random = 0.7 / (N - 1)  # at frequency 20, of directions that peak elsewhere
    row = find(contrast({1: (0.2, as_random)}), "power_share_ratio:nonzero", "mean(v1..v3)", "sum")
    # Alone, all draws are equal; with a partner, only the draw of all three edge directions (1 in 39 711) is as large.
    assert row.null.mean < 2
    assert row.null.pvalue == pytest.approx(1 / 1000)


def test_growth_that_random_directions_share_is_not_the_edge_s():
    everywhere = shares_at(20, 0.2, DRAWS)
    row = find(contrast({1: (0.02, 0.02)}, everywhere), "power_share_ratio:nonzero", "mean(v1..v3)", "sum")
    assert row.measured == pytest.approx(1.0)
    assert row.null.mean > 5
    assert row.null.pvalue > 0.5


def test_without_addition_on_the_trunk_the_frequency_is_that_of_addition_alone():
    row = find(contrast({1: (0.2, 0.1)}, operation="mul+x2_y2"), "power_share_ratio:nonzero", "mean(v1..v3)", "sum")
    assert (row.peak, row.measured, row.interval) == (20, pytest.approx(2.0), None)


def test_synergy_gain_is_a_difference_paired_by_seed():
    row = find(contrast({1: (0.2, 0.1), 3: (0.2, 0.1)}), "synergy_gain:nonzero", "mean(v1..v3)")
    # .06 and .08 with a partner, .04 alone
    assert row.measured == pytest.approx(0.03)
    assert row.interval.high - row.measured == pytest.approx(12.7062 * 0.01, rel=1e-3)


def test_models_that_did_not_generalise_are_left_out():
    stopped = analysis(training("add+x2_y2", 1), (26, 0.3), mixed_random(26, 9), 26)
    unfinished = analysis(training("add+x2_y2", 2), (26, 0.3), mixed_random(26, 9), 26, checkpoint="final")
    assert find(across_models([stopped, unfinished]), "peak_is_addition:top1", "v1", "sum").seeds == [1]
    assert across_models([unfinished]) == []


def test_shared_frequencies_of_equal_and_of_disjoint_heads():
    power = np.arange(N, 0, -1.0)
    same, null, common = shared_frequencies(power, power, seed=0)
    assert (same, common) == (1.0, [1, 2, 3])
    assert null.mean == pytest.approx(3 / N, abs=0.02)  # each of three is among three named ones with chance 3/48
    assert null.pvalue < 0.01
    none, null, common = shared_frequencies(power, power[::-1], seed=0)
    assert (none, common, null.pvalue) == (0.0, [], 1.0)


def test_model_names():
    names = [model_name(training(*given)) for given in (("add+x2_y2", 1), ("x2_y2", 1), ("x2_y2", 1, False))]
    assert names == ["add+x2_y2", "x2_y2 (nonzero)", None]
