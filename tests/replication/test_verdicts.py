from dataclasses import replace

import pytest

from spectral_edge.replication.claims import LINES, RULES
from spectral_edge.replication.claims.rule import TOLERANCES
from spectral_edge.replication.modes.selection import has_basis
from spectral_edge.replication.verdicts import adjust_table, judge
from spectral_edge.store import ClaimRow, NullSummary


def row(measured, pvalue=0.005, alternative="greater", **changes):
    null = NullSummary(
        kind="random_directions",
        n=200,
        mean=0.1,
        std=0.02,
        quantile95=0.13,
        alternative=alternative,
        pvalue=pvalue,
        pvalue_adjusted=None,
    )
    fields = {
        "claim": "C6",
        "task": "add",
        "seed": 42,
        "weight_decay": 1.0,
        "checkpoint": "stop",
        "step": 100,
        "stride": 100,
        "window": 20,
        "centered": True,
        "method": "jvp",
        "direction": "v1",
        "statistic": "concentration",
        "grouping": "sum",
        "inputs": "test",
        "measured": measured,
        "peak": 26,
        "top": [26],
        "published": None,
        "published_is_upper_bound": None,
        "published_peak": None,
        "null": null,
        "permutation_null": None,
        "peak_null": None,
        "permutation_peak_null": None,
        "run_id": "add-s42-x",
    }
    return ClaimRow(**(fields | changes))


def addition(values, pvalues, peaks=(26, 26, 25)):
    published = (0.33, 0.16, 0.40)
    rows = [
        row(v, p, direction=f"v{i + 1}", peak=peak, published=published[i], published_peak=(26, 26, 25)[i])
        for i, (v, p, peak) in enumerate(zip(values, pvalues, peaks, strict=True))
    ]
    return [
        *rows,
        row(sum(values) / 3, 0.005, direction="mean(v1..v3)", published=0.29),
        row(0.18, 0.5, direction="mean(v4..v8)", published=0.18),
    ]


def verdict(rows, claim="C6"):
    return next(v for v in judge(adjust_table(rows, RULES), RULES) if v.claim == claim)


def test_the_published_numbers_themselves_reproduce_and_survive():
    found = verdict(addition((0.33, 0.16, 0.40), (0.005, 0.005, 0.005)))
    assert (found.reproduces, found.survives_null) == (True, True)
    assert "5 of 5 published numbers" in found.because
    assert "3 of 3 published frequencies" in found.because


def test_the_two_verdicts_are_independent():
    found = verdict(addition((0.33, 0.16, 0.40), (0.4, 0.9, 0.005)))
    assert (found.reproduces, found.survives_null) == (True, False)
    found = verdict(addition((0.9, 0.9, 0.9), (0.005, 0.005, 0.005)))
    assert (found.reproduces, found.survives_null) == (False, True)


def test_other_frequencies_do_not_reproduce():
    assert verdict(addition((0.33, 0.16, 0.40), (0.005,) * 3, peaks=(1, 2, 25))).reproduces is False


def test_a_claim_without_rows_is_not_judged():
    found = verdict(addition((0.3, 0.2, 0.4), (0.005,) * 3), claim="C8")
    assert (found.reproduces, found.survives_null) == (None, None)
    assert "Not measured" in found.because


def test_adjustment_is_benjamini_hochberg_within_a_claim():
    p = [0.01, 0.04, 0.03, 0.20]
    rows = [row(0.3, v) for v in p] + [row(0.3, 0.9, claim="C8")]
    adjusted = [r.null.pvalue_adjusted for r in adjust_table(rows, RULES)]
    # by hand: sorted p (.01, .03, .04, .20) times 4/rank, then the running minimum from the right
    assert adjusted == pytest.approx([0.04, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.20, 0.9])


def test_every_published_number_has_a_tolerance_and_every_claim_a_rule():
    assert {m.statistic for m in LINES if m.published is not None} <= set(TOLERANCES)
    assert [rule.claim for rule in RULES] == [f"C{i}" for i in range(1, 15)]


def test_every_rule_has_rows_to_decide_on():
    for rule in (rule for rule in RULES if rule.claim in {line.claim for line in LINES}):
        rows = [
            row(
                0.1,
                claim=m.claim,
                task=m.task,
                checkpoint=m.checkpoint,
                direction=str(m.direction),
                statistic=m.statistic,
                grouping=m.grouping,
            )
            for m in LINES
        ]
        assert any(rule.decides(r) for r in rows), rule.claim


def test_an_absence_survives_if_nothing_exceeds_the_null():
    bases = ("sum", "discrete_log", "output:x2_y2")
    nothing = [row(0.1, 0.5, claim="C9", task="x2_y2", grouping=q) for q in bases]
    something = [row(0.1, 0.005, claim="C9", task="x2_y2", grouping=q) for q in bases]
    assert verdict(nothing, "C9").survives_null is True
    assert verdict(something, "C9").survives_null is False


def test_an_upper_bound_is_met_from_below_only():
    bounded = {"claim": "C9", "task": "x2_y2", "published": 0.15, "published_is_upper_bound": True}
    assert verdict([row(0.02, **bounded)], "C9").reproduces is True
    assert verdict([row(0.16, **bounded)], "C9").reproduces is False


def test_missing_parts_of_a_claim_do_not_count_against_it():
    only_control = [row(0.3, claim="C7", task="add", grouping="discrete_log")]
    found = verdict(only_control, "C7")
    assert (found.reproduces, found.survives_null) == (None, None)
    without_bulk = [r for r in addition((0.33, 0.16, 0.40), (0.005,) * 3) if "v4" not in r.direction]
    assert verdict(without_bulk).reproduces is True
    assert "edge/bulk not measured" in verdict(without_bulk).because


def test_every_basis_of_the_table_exists_for_the_paper_s_modulus():
    assert [m for m in LINES if not has_basis(m.grouping, 97)] == []


def over_seeds(pvalues, combined, **changes):
    """Rows of single seeds, and the row that stands for them."""
    parts = [row(0.3, p, seed=seed, run_id=f"add-s{seed}", **changes) for seed, p in enumerate(pvalues)]
    whole = row(0.3, combined, seed=None, run_id=None, step=None, peak=None, top=None, **changes)
    null = whole.null.model_copy(update={"combined": len(pvalues)})
    return [whole.model_copy(update={"seeds": list(range(len(pvalues))), "null": null}), *parts]


def test_one_strong_seed_does_not_carry_a_claim_but_breaks_an_absence():
    edge = ("v1", "v2", "v3")
    one = [r for v in edge for r in over_seeds((0.005, 0.5, 0.5), 0.03, direction=v)]
    two = [r for v in edge for r in over_seeds((0.005, 0.03, 0.5), 0.003, direction=v)]
    assert verdict(one).survives_null is False
    assert verdict(two).survives_null is True
    of_absence = over_seeds((0.005, 0.5, 0.5), 0.03, claim="C9", task="x2_y2")
    assert verdict(of_absence, "C9").survives_null is False


def test_a_verdict_does_not_hang_on_how_much_else_was_measured():
    deciding = addition((0.33, 0.16, 0.40), (0.03, 0.03, 0.03))
    further = [row(0.1, 0.9, statistic="variance_share", direction=f"v{i}") for i in range(30)]
    assert verdict(deciding).survives_null is verdict(deciding + further).survives_null is True


def test_a_rule_may_name_the_null_that_decides_and_conditions_that_must_hold_as_well():
    others = NullSummary(
        kind="other_phase", n=99, mean=0, std=1, quantile95=2, alternative="greater", pvalue=0.9, pvalue_adjusted=None
    )
    rule = replace(next(rule for rule in RULES if rule.claim == "C6"), decided_by="other_phase", checks=())
    rows = [row(0.3, 0.005, direction=v, further_nulls=[others]) for v in ("v1", "v2", "v3")]
    (found,) = judge(adjust_table(rows, [rule]), [rule])
    assert found.survives_null is False
    assert "null of other phase" in found.because
    shown = adjust_table(rows, [rule])[0]
    assert (shown.null.kind, [null.kind for null in shown.further_nulls]) == ("other_phase", ["random_directions"])
    for met in (True, False, None):
        rule = replace(rule, decided_by=None, conditions=(lambda rows, met=met: (met, "as it happens"),))
        (found,) = judge(adjust_table(rows, [rule]), [rule])
        assert found.survives_null is (met is not False)
        assert found.because.endswith("as it happens.")
