"""The abstract as sentences: every verdict in its place, and grammar where a list is empty or has one item."""

from __future__ import annotations

import itertools

import pytest

from spectral_edge.report.formatting import enumeration
from spectral_edge.report.summary import computing_time, outcomes, scope
from spectral_edge.store.results import NullSummary, Verdict
from support.synthetic import fake_row, make_analysis, make_claims

HEADINGS = [
    "What holds.",
    "What comes back but does not survive its null.",
    "What does not come back.",
    "What is undecided.",
]


def verdict(reproduces, survives, claim="C6", statement="It is so."):
    return Verdict(claim=claim, statement=statement, reproduces=reproduces, survives_null=survives, because="")


@pytest.mark.parametrize(
    ("reproduces", "survives", "place", "remark"),
    [
        (True, True, 0, "It is so (C6)."),
        (True, False, 1, "It is so (C6)."),
        (False, True, 2, "It is so (C6, but it survives its null)."),
        (False, False, 2, "It is so (C6, nor does it survive its null)."),
        (False, None, 2, "It is so (C6)."),
        (None, True, 3, "(C6, no published number to compare; it survives its null)."),
        (None, False, 3, "(C6, no published number to compare; it does not survive its null)."),
        (None, None, 3, "It is so (C6)."),
        (True, None, 3, "(C6, it reproduces; its null decides nothing)."),
    ],
)
def test_every_verdict_has_one_place(reproduces, survives, place, remark):
    found = outcomes([verdict(reproduces, survives)])
    assert [outcome.heading for outcome in found] == HEADINGS
    assert [index for index, outcome in enumerate(found) if "C6" in outcome.text] == [place]
    assert found[place].text.startswith("1 claim ")
    assert found[place].text.endswith(remark)
    for index, outcome in enumerate(found):
        assert index == place or outcome.text.startswith("No claim ")


def test_numbers_agree_with_their_verbs():
    texts = [o.text for o in outcomes([verdict(r, s) for r, s in itertools.product((True, False, None), repeat=2)] * 2)]
    assert texts[0].startswith("2 claims reproduce and survive their matched nulls: It is so (C6); It is so (C6).")
    assert texts[2].startswith("6 claims do not reproduce: ")
    assert texts[3].startswith("8 claims are left open: ")


def test_no_verdict_no_outcome():
    assert outcomes([]) == []


def test_scope_names_runs_seeds_and_nulls():
    claims = make_claims([make_analysis("sub", 7), make_analysis("add", 42)], [verdict(True, True)])
    null = {"n": 600, "mean": 0.1, "std": 0.1, "quantile95": 0.2, "alternative": "greater", "pvalue": 0.5}
    further = NullSummary(kind="other_phase", **(null | {"n": 16}))
    row = fake_row("add", "r", null=NullSummary(kind="random_directions", combined=3, **null), further_nulls=[further])
    text = scope(claims.model_copy(update={"rows": [row]}))
    assert "tests 1 claim of arXiv:2604.06256 on 2 training runs" in text
    assert "(operations add and sub; seeds 7 and 42; weight decay 1): 1 measured number, quick profile" in text
    assert "matched nulls: random directions (200 draws) and other phase (16 draws)." in text
    assert "Fisher" in text


def test_scope_of_nothing():
    text = scope(make_claims([], []))
    assert "tests no claim of arXiv:2604.06256 on 0 training runs (operation none; seeds none): 0 measured" in text
    assert "null" not in text


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_enumeration(words, text):
    assert enumeration(words) == text


def test_time_is_that_of_all_processes_where_it_is_known(claims):
    known = claims.model_copy(update={"wall_seconds": 60.0, "stage_seconds": {"training": 7000.0, "modes": 200.0}})
    assert computing_time(known) == "2.0 h of single-thread processes"
    assert "computed in 2.0 h of single-thread processes." in scope(known)
    assert computing_time(known.model_copy(update={"stage_seconds": {}})) == "1.0 min"
