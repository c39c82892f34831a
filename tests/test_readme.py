import math
from pathlib import Path

import polars

from spectral_edge.experiments.discovery import seven_points
from spectral_edge.report import answers_table, discoveries_markdown
from spectral_edge.store import Claims, Discoveries

README = Path(__file__).parents[1] / "README.md"


def test_the_table_of_answers_is_that_of_the_committed_results():
    claims = Claims.read(README.parent / "results" / "decision" / "claims.json")
    assert answers_table(claims.answers).strip() in README.read_text()
    assert len(claims.answers) == 14


def test_the_answers_of_the_quick_reproduction_are_the_committed_ones():
    decision, quick = (Claims.read(README.parent / "results" / name / "claims.json") for name in ("decision", "quick"))
    assert quick.answers == decision.answers
    assert {one.seed for one in quick.placed} == {42}


def test_the_first_sentence_counts_the_answers():
    claims = Claims.read(README.parent / "results" / "decision" / "claims.json")
    specific = [one.specific for one in claims.answers if one.n in (10, 30)]
    counts = {answer: specific.count(answer) for answer in ("yes", "no", "undecided")}
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    text = " ".join(README.read_text().split()).replace("addition; ", "")
    assert f"of the {words[len(specific)]} published effects that are measured over 10 or 30 seeds" in text
    assert f"{words[counts['yes']]} beats every null" in text
    assert f"{words[counts['no']]} do not, and {words[counts['undecided']]} are undecided" in text


def test_the_declines_of_c1_are_those_of_the_reruns_and_of_the_controls():
    answers = Claims.read(README.parent / "results" / "decision" / "claims.json").answers
    (task,) = next(one.tasks for one in answers if one.claim == "C1")
    text = " ".join(README.read_text().split())
    assert f"{math.exp(task.rerun_mean):.0f}-fold in ten reruns of addition" in text
    assert f"g₂₃ falls {math.exp(task.rerun_null_mean):.0f}-fold" in text


def test_how_often_printed_frequencies_come_back_is_counted_in_the_reruns():
    rows = polars.read_parquet(README.parent / "results" / "decision" / "paper_seed.parquet").filter(
        arm="hybrid", checkpoint="stop", direction="v1", statistic="concentration", inputs="test", null="isotropic"
    )
    printed = {"add": ("sum", (25, 26)), "sub": ("difference", (16,)), "mul": ("discrete_log", (29,))}
    again = {}
    for task, (grouping, frequencies) in printed.items():
        own = rows.filter(task=task, grouping=grouping)
        assert len(own) == 10
        again[task] = own.filter(polars.col("peak").is_in(frequencies)).height
    text = " ".join(README.read_text().split())
    said = "addition's printed frequency {add} times, subtraction's {sub} times and multiplication's {mul} time"
    assert said.format(**again) in text


def test_what_the_answer_to_c3_hangs_on_is_that_of_the_reruns():
    rows = polars.read_parquet(README.parent / "results" / "decision" / "paper_seed.parquet").filter(
        arm="hybrid", checkpoint="stop", statistic="head_purity", null="isotropic"
    )
    pages = [" ".join((README.parent / name).read_text().split()) for name in ("README.md", "docs/protocol.md")]
    said = {}
    for task in ("add", "x2_y2"):
        for directions in (("v1",), ("v1", "v2", "v3")):
            own = rows.filter(polars.col("direction").is_in(directions), task=task).group_by("copy")
            values = own.agg(polars.col("measured").mean())["measured"].to_numpy()
            half = 2.2621572 * values.std(ddof=1) * (1 + 1 / 10) ** 0.5  # Student's t of nine degrees of freedom, 95 %
            said[task, len(directions)] = f"{values.mean() - half:.3f} to {values.mean() + half:.3f}"
    assert "{} in addition and {} in x²+y²".format(said["add", 1], said["x2_y2", 1]) in pages[1]
    assert "{} and {}: for x²+y²".format(said["add", 3], said["x2_y2", 3]) in pages[1]
    assert "{} in x²+y², which holds 0.14".format(said["x2_y2", 3]) in pages[0]


def test_the_counts_of_discovery_are_those_of_the_committed_results():
    rows = Discoveries.read(README.parent / "results" / "discovery" / "discoveries.json").rows
    renamed = [row for row in rows if row.renaming is not None]
    text = " ".join(README.read_text().split())
    for source in ("edge", "random", "logits"):
        found = [row.recovered for row in renamed if row.source == source]
        assert len(found) == 45
        assert f"{sum(found)} of 45" in text
    others = [row for row in rows if row.operation in ("symmetric", "dihedral", "velocity") and row.source == "edge"]
    assert f"{sum(row.recovered for row in others)} of {len(others)} models" in text
    nothing = [row[1].split(" [")[0].split(" of ") for row in seven_points(rows)[3].rows[1:]]  # shuffles test nothing
    hits, cases = (sum(int(count[i]) for count in nothing) for i in (0, 1))
    assert f"{hits} of {cases}" in text


def test_the_record_of_discovery_is_generated_from_the_committed_results():
    found = Discoveries.read(README.parent / "results" / "discovery" / "discoveries.json")
    record = (README.parent / "docs" / "findings.md").read_text()
    generated = discoveries_markdown(seven_points(found.rows), found.environment.get("git_commit"), "day")
    assert generated[generated.index("\n") :].rstrip() in record
