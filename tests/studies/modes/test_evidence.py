"""A planted mode is found, white noise is not, and both p-values say so."""

from dataclasses import replace

import numpy as np
import pytest

from spectral_edge.grokking import ModularTask
from spectral_edge.studies.measurement import Measured
from spectral_edge.studies.modes.evidence import Evidence
from spectral_edge.studies.modes.published import Measurement

P, K, N_NULL = 13, 3, 60
TASK = ModularTask("add", P)


def measured(energy, scale=1.0):
    k = len(energy)
    triples = np.arange(k // 3 * 3).reshape(-1, 3)
    mixtures = np.stack([energy[triples[:, 0]]] * 4, axis=1)
    return Measured(
        energy,
        np.stack([energy] * 3, axis=1),
        np.full(k, scale),
        np.full(k, scale),
        mixtures,
        triples,
        np.full(k, scale),
        np.empty((1, k, 0)),
    )


@pytest.fixture(scope="module")
def evidence():
    rng = np.random.default_rng(0)
    a, b = TASK.pairs.T
    planted = 2 + np.cos(2 * np.pi * 4 * (a + b) / P)
    edge = np.stack([planted, *rng.exponential(size=(K - 1, len(a)))])
    null = rng.exponential(size=(N_NULL, len(a)))
    random = measured(null)
    random = Measured(
        **(vars(random) | {"head_purity": rng.normal(size=N_NULL), "effective_rank": rng.normal(size=N_NULL)})
    )
    return Evidence(TASK, TASK.split().test, measured(edge, scale=10.0), random, n_permutations=99, seed=0)


def ask(evidence, direction, statistic, grouping=None, **rest):
    return evidence.value(Measurement("C6", "add", direction, statistic, grouping, **rest))


def test_a_planted_mode_has_concentration_one_and_the_smallest_p(evidence):
    value = ask(evidence, "v1", "concentration", "sum")
    assert value.measured == pytest.approx(1)
    assert value.top[0] == 4
    assert value.null.pvalue == pytest.approx(1 / (N_NULL + 1))
    assert value.permutation_null.pvalue == pytest.approx(1 / 100)
    assert ask(evidence, "v1", "peakedness", "sum").measured == pytest.approx(P // 2)
    assert ask(evidence, "v1", "variance_share", "sum").measured == pytest.approx(1)


def test_noise_is_not_above_its_null(evidence):
    value = ask(evidence, "v2", "concentration", "sum")
    assert value.null.pvalue > 0.02
    assert value.permutation_null.pvalue > 0.02


def test_the_signed_spectrum_tells_sum_from_difference(evidence):
    assert ask(evidence, "v1", "share:sum", "additive", inputs="all").measured == pytest.approx(1)
    assert ask(evidence, "v1", "share:difference", "additive", inputs="all").measured == pytest.approx(0, abs=1e-12)
    assert ask(evidence, "v1", "share:sum", "additive", inputs="all").top[0] == (4, 4)


def test_a_spike_on_the_diagonal_is_taken_out_of_the_signed_spectrum(evidence):
    a, b = TASK.pairs.T
    spiked = 1 + np.cos(2 * np.pi * 4 * (a + b) / P) * (a != b) + 9.0 * (a == b)
    with_spike = Evidence(TASK, evidence.test, measured(np.stack([spiked] * 3)), evidence.random, 20, seed=0)
    shares = {
        inputs: ask(with_spike, "v1", "share:difference", "additive", inputs=inputs).measured
        for inputs in ("all", "all_diagonal_averaged")
    }
    assert shares["all"] > 0.5
    assert shares["all_diagonal_averaged"] < 0.05
    with pytest.raises(ValueError, match="not defined on inputs"):
        ask(with_spike, "v1", "concentration", "sum", inputs="all_diagonal_averaged")


def test_the_other_tail_is_the_other_p(evidence):
    assert ask(evidence, "v1", "head_purity").null.pvalue == pytest.approx(1 / (N_NULL + 1))
    assert ask(evidence, "v1", "head_purity", alternative="less").null.pvalue == 1


def test_aggregates_are_held_against_aggregates(evidence):
    best = ask(evidence, "best(v1..v3)", "concentration", "sum")
    assert best.null.pvalue == pytest.approx(3 / (N_NULL + K), abs=0.02)  # the chance that a 3-subset holds the top one
    single = ask(evidence, "v1", "concentration", "sum")
    assert best.measured == single.measured
    assert best.null.mean > single.null.mean  # the best of three random directions, not one
    mean = ask(evidence, "mean(v1..v3)", "concentration", "sum")
    assert mean.null.std < single.null.std


def test_overlap_of_a_mixture_with_its_components_has_its_closed_form(evidence):
    # every mixture here equals its first component, and the union takes each component's strongest first
    edge, _ = evidence.profiles("energy", "sum", "test")
    top = edge.strongest(3)
    union = list(dict.fromkeys([top[0][0], top[1][0], top[0][1], top[1][1], top[0][2], top[1][2]]))[:3]
    expected = len(set(union) & set(top[0])) / len(set(union) | set(top[0]))
    found = ask(evidence, "v1+v2", "jaccard", "sum")
    assert found.measured == pytest.approx(expected)
    assert found.null.n == N_NULL // 3


def test_a_peak_where_no_random_direction_peaks_is_rare(evidence):
    null = ask(evidence, "v1", "concentration", "sum").peak_null
    peaks = evidence.profiles("energy", "sum", "test")[1].peak
    counts = np.bincount(np.append(peaks, 4), minlength=7)
    assert null.same == (peaks == 4).sum()
    assert null.pvalue == pytest.approx(((counts[peaks] <= counts[4]).sum() + 1) / (N_NULL + 1))


def test_permuted_inputs_peak_at_any_frequency(evidence):
    for asked in (("concentration", "sum"), ("share:sum", "additive")):
        null = ask(evidence, "v1", *asked, inputs="all").permutation_peak_null
        assert null.kind == "input_permutation"
        assert null.n == 99
        assert 0 < null.same < 45  # one of six frequencies: 16.5 expected, s.d. 3.7
    assert ask(evidence, "mean(v1..v3)", "concentration", "sum").permutation_peak_null is None


def test_pooled_aggregates_are_calibrated():
    """Edge values drawn like null values: p-values of mean and best are not too small too often."""
    rng = np.random.default_rng(1)
    small = {"mean(v1..v3)": 0, "best(v1..v3)": 0}
    for _ in range(150):
        edge, null = rng.exponential(size=(2, 40))
        e = Evidence(
            TASK, TASK.split().test, fake(edge[:3]), fake(null), n_permutations=20, seed=int(rng.integers(1e6))
        )
        for name in small:
            small[name] += e.value(Measurement("C3", "add", name, "head_purity")).null.pvalue <= 0.1
    limit = 150 * 0.1 + 3 * np.sqrt(150 * 0.1 * 0.9)
    assert small["mean(v1..v3)"] <= limit
    assert small["best(v1..v3)"] <= limit


def fake(purity):
    nothing = np.empty((0, 4, 0))
    return Measured(
        np.empty((0, 0)), np.empty((0, 3, 0)), purity, purity, nothing, np.empty((0, 3), int), purity, nothing
    )


def test_unknown_names_are_refused(evidence):
    with pytest.raises(ValueError, match="unknown statistic"):
        ask(evidence, "v1", "beauty")
    with pytest.raises(ValueError, match="unknown direction"):
        ask(evidence, "w1", "concentration", "sum")
    with pytest.raises(ValueError, match="needs a grouping"):
        ask(evidence, "v1", "concentration")


def test_another_null_is_not_read_from_the_first_ones_cache(evidence):
    wanted = Measurement("C6", "add", "v1", "concentration", "sum")
    evidence.value(wanted)
    fewer = Measured(**(vars(evidence.random) | {"energy": evidence.random.energy[:7]}))
    assert replace(evidence, random=fewer).direction_null(wanted, "other_phase").n == 7
