"""The protocol: its runs are apart from each other and from all earlier ones, and its page says what its code says."""

import re
from pathlib import Path

import numpy as np

from spectral_edge.grokking import TrainingConfig
from spectral_edge.replication.decision import ARMS, PROTOCOL, runs_of
from spectral_edge.replication.decision.arms import COPIED_SEEDS, FRESH_SEEDS, NEVER, RESERVE_SEEDS
from spectral_edge.subjects.profiles import SEEDS, copy_number

PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"


def test_no_run_is_in_two_arms_and_no_fresh_seed_was_used_before():
    runs = [run for arm in ARMS for run in runs_of(arm)]
    assert len({run.run_id for run in runs}) == len(runs)
    assert not set(FRESH_SEEDS + RESERVE_SEEDS) & set(SEEDS)
    assert not set(FRESH_SEEDS) & set(RESERVE_SEEDS)


def test_the_arms_have_what_was_asked_for():
    seeds = {(run.training.operation, run.training.seed) for run in runs_of("seeds")}
    assert seeds == {(name, seed) for name in ("add", "sub", "mul", "x2_y2") for seed in range(1001, 1031)}
    copies = [run.training for run in runs_of("copies")]
    assert {t.seed for t in copies} == set(COPIED_SEEDS)
    assert {copy_number(t.learning_rate) for t in copies} == {1, 2}
    paper = [run.training for run in runs_of("paper_seed") if run.training.operation == "add"]
    rates = np.array([t.learning_rate for t in paper], dtype=np.float32)
    assert rates[0] == np.float32(TrainingConfig().learning_rate)
    assert np.diff(rates.view(np.int32)).tolist() == [1] * 9
    never = {run.training.operation for run in runs_of("controls")} & set(NEVER)
    assert len(never) == 8
    assert {run.training.eval_every for arm in ARMS for run in runs_of(arm)} == {100}  # equal strides
    assert {run.training.max_steps for run in runs_of("controls")} == {5_000, 50_000}


def test_a_seed_that_does_not_generalise_is_replaced_in_every_arm_that_has_it():
    replaced = {("mul", 1002): 1031}
    for arm, count in (("seeds", 1), ("copies", 2)):
        before, after = ({r.training for r in runs_of(arm, given)} for given in (None, replaced))
        assert {(t.operation, t.seed) for t in before - after} == {("mul", 1002)}
        assert [(t.operation, t.seed) for t in after - before] == [("mul", 1031)] * count


def test_the_page_has_every_question_with_its_numbers():
    rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in PAGE.read_text().splitlines()]
    asked = {(row[0], row[1]): row for row in rows if re.fullmatch(r"C\d+", row[0])}
    assert len(asked) == len(PROTOCOL.questions)
    for question in PROTOCOL.questions:
        row = asked[question.claim, question.task]
        assert row[4] == ", ".join(question.specific)
        assert row[5] == f"{question.margin:g} {question.unit}"
        assert (f"{question.published:g}" in row[6]) if question.published is not None else len(row) == 6 or not row[6]
        assert all(str(peak) in row[6] for peak in question.peaks)


def test_the_digest_is_that_of_every_field():
    changed = PROTOCOL.model_copy(update={"draws": 61})
    assert changed.digest != PROTOCOL.digest
    question = PROTOCOL.questions[0].model_copy(update={"margin": 1.0})
    assert PROTOCOL.model_copy(update={"questions": (question, *PROTOCOL.questions[1:])}).digest != PROTOCOL.digest
