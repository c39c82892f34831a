"""The abstract as sentences, and grammar where a list is empty or has one item."""

from __future__ import annotations

import pytest

from spectral_edge.report.formatting import enumeration
from spectral_edge.report.summary import computing_time, decision_sentence, scope
from support.synthetic import make_analysis, make_answer, make_claims, make_numbers


def test_scope_names_runs_and_how_many_numbers_lie_inside():
    numbers = make_numbers([make_analysis("sub", 7), make_analysis("add", 42)])
    text = scope(make_claims(), numbers)
    assert "2 training runs (operations add and sub; seeds 7 and 42; weight decay 1), quick profile" in text
    assert "1 of 2 numbers lie in the 95 % interval of the 30 stored runs" in text
    assert "interval" not in scope(None, numbers)


def test_scope_of_nothing():
    assert "These are 0 training runs (operation none; seeds none)" in scope(None, make_numbers([]))
    assert "This is 1 training run (" in scope(None, make_numbers([make_analysis("add")]))
    assert "No number" in scope(make_claims(placed=[]), make_numbers([]))


def test_answers_from_fewer_seeds_than_planned_are_named():
    assert "not final" not in decision_sentence(make_claims())
    text = decision_sentence(make_claims([make_answer("C6"), make_answer("C7", n=12)]))
    assert "measured for C7:" in text


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_enumeration(words, text):
    assert enumeration(words) == text


def test_time_is_that_of_all_processes_where_it_is_known(numbers):
    known = numbers.model_copy(update={"wall_seconds": 60.0, "stage_seconds": {"training": 7000.0, "modes": 200.0}})
    assert computing_time(known) == "2.0 h of single-thread processes"
    assert "computed in 2.0 h of single-thread processes." in scope(None, known)
    assert computing_time(known.model_copy(update={"stage_seconds": {}})) == "1.0 min"
