import pytest
from scipy import stats

from spectral_edge.replication.aggregation import combine_seeds
from spectral_edge.store import ClaimRow, NullSummary


def row(measured, pvalue=0.5, **changes):
    null = NullSummary(
        kind="random_directions", n=200, mean=0.1, std=0.05, quantile95=0.2, alternative="greater", pvalue=pvalue
    )
    values = {
        "claim": "C6", "task": "add", "seed": 42, "weight_decay": 1.0, "checkpoint": "stop", "stride": 100,
        "window": 20, "centered": True, "method": "jvp", "direction": "v1", "statistic": "concentration",
        "grouping": "sum", "inputs": "test", "run_id": "add-s42",
    }  # fmt: skip
    return ClaimRow(measured=measured, null=null, **(values | changes))


def over_seeds(values, pvalues, **changes):
    return [
        row(value, p, seed=seed, run_id=f"add-s{seed}", step=100 * seed, **changes)
        for value, p, seed in zip(values, pvalues, (42, 137, 2024), strict=False)
    ]


def test_mean_interval_and_fisher_by_hand():
    combined = combine_seeds(over_seeds((0.1, 0.2, 0.6), (0.01, 0.02, 0.5), published=0.33))
    assert len(combined) == 1
    found = combined[0]
    assert found.seeds == [42, 137, 2024]
    assert (found.seed, found.run_id, found.step, found.published) == (None, None, None, None)
    assert found.measured == pytest.approx(0.3)
    # s = sqrt((.2^2 + .1^2 + .3^2) / 2) = .264575, standard error .152753, t(.975; 2) = 4.302653
    assert (found.interval.low, found.interval.high) == pytest.approx((0.3 - 0.657244, 0.3 + 0.657244), abs=1e-5)
    # -2 ln(.01 * .02 * .5) = 18.420681, six degrees of freedom
    assert found.null.pvalue == pytest.approx(stats.chi2.sf(18.420681, 6), rel=1e-5)
    assert (found.null.n, found.null.combined) == (600, 3)


def test_rows_that_differ_in_more_than_the_seed_stay_apart():
    rows = [*over_seeds((0.1, 0.2), (0.1, 0.1)), *over_seeds((0.3, 0.4), (0.1, 0.1), window=10)]
    assert sorted(r.measured for r in combine_seeds(rows)) == pytest.approx([0.15, 0.35])
    assert combine_seeds([row(0.1)]) == []


def test_a_null_that_one_seed_lacks_is_not_combined():
    first, second = over_seeds((0.1, 0.2), (0.1, 0.1))
    phase = first.null.model_copy(update={"kind": "other_phase"})
    rows = [
        first.model_copy(update={"further_nulls": [phase]}),
        second.model_copy(update={"permutation_null": phase}),
    ]
    combined = combine_seeds(rows)[0]
    assert combined.further_nulls == []
    assert combined.permutation_null is None


def test_the_same_seed_twice_is_refused():
    with pytest.raises(ValueError, match=r"C6 add v1 concentration sum at stop is there twice"):
        combine_seeds([row(0.1), row(0.2)])
