import math
from pathlib import Path

import polars

from spectral_edge.experiments.discovery import seven_points
from spectral_edge.replication.decision.arms import NEVER
from spectral_edge.replication.decision.contrasts import declines
from spectral_edge.report import answers_table, experiment_markdown
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


def test_the_first_paragraphs_count_the_answers():
    claims = Claims.read(README.parent / "results" / "decision" / "claims.json")
    answered = [one for one in claims.answers if one.specific is not None]
    assert all(one.n == one.planned for one in answered)
    fewest, most = min(one.n for one in answered), max(one.n for one in answered)
    specific = [one.specific for one in answered]
    counts = {answer: specific.count(answer) for answer in ("yes", "no", "undecided")}
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    words += ("eleven", "twelve")
    for page in (README, README.parent / "docs" / "index.md"):
        text = " ".join(page.read_text().split())
        assert f"{words[len(specific)].capitalize()} claims are measured over {fewest} to {most} seeds" in text
        assert f"in {words[counts['yes']]} the edge beats every null" in text
        assert f"in {words[counts['no']]} it does not, and {words[counts['undecided']]} are undecided" in text


def test_the_declines_of_c1_are_those_of_the_stored_runs():
    """Mean of ratios over copies of seed 42; geometric means over seeds and over operations that never generalise."""
    arms = ("seeds", "copies", "controls", "paper_seed")
    paths = [README.parent / "results" / "decision" / f"{arm}.series.parquet" for arm in arms]
    table = declines(polars.concat([polars.read_parquet(path) for path in paths], how="diagonal_relaxed"))

    def mean(rows, *keys):
        for key in keys:
            rows = rows.group_by(key, maintain_order=True).agg(polars.col("decline").mean(), polars.col("step").min())
        return math.exp(rows["decline"].mean()), set(rows["step"])

    copies = table.filter(arm="paper_seed").with_columns(ratio=polars.col("decline").exp())
    ratios = copies.group_by("copy").agg(polars.col("ratio").mean())["ratio"]
    fresh = table.filter(polars.col("generalises"), polars.col("arm").is_in(["seeds", "copies"]))
    own, _ = mean(fresh, ["seed", "task"], "seed")
    controls = table.filter(polars.col("weight_decay") > 0, arm="controls")
    never, steps = mean(controls.filter(polars.col("task").is_in(list(NEVER))), ["task", "seed"], "task")
    text = " ".join(README.read_text().split())
    assert f"{math.exp(ratios.log().mean()):.0f}-fold over ten copies of seed 42" in text
    assert f"Over 30 seeds of four operations g₂₃ falls {own:.0f}-fold" in text
    assert f"it falls {never:.0f}-fold by step {steps.pop()}" in text
    assert not steps
    assert (len(ratios), controls["task"].n_unique()) == (10, 8)


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


def test_the_excess_of_c4_follows_from_its_table_by_hand():
    """The walk of DESIGN.md: null SDs of v₁ over the span, copies averaged, Student's 90 % interval."""
    tables = [README.parent / "results" / "decision" / f"{arm}.parquet" for arm in ("seeds", "copies")]
    rows = polars.concat([polars.read_parquet(table) for table in tables], how="diagonal_relaxed").filter(
        statistic="peakedness:script", task="add", direction="v1", checkpoint="transition", inputs="test", null="span"
    )
    runs = rows.with_columns(excess=(polars.col("measured") - polars.col("null_mean")) / polars.col("null_std"))
    excess = runs.group_by("seed", "copy").agg(polars.col("excess").mean()).group_by("seed").mean()["excess"].to_numpy()
    half = 1.6991270 * excess.std(ddof=1) / 30**0.5  # Student's t of 29 degrees of freedom, 90 %
    found = (excess.mean(), excess.mean() - half, excess.mean() + half)
    (line,) = [line for line in README.read_text().splitlines() if line.startswith("| C4 ") and "null SD" in line]
    assert "{:.2f} [{:.2f}, {:.2f}] null SD".format(*found) in line.replace("\\", "")
    assert len(excess) == 30


def test_what_is_said_of_c11_is_that_of_the_trunks():
    """Differences of six seeds, of v₁ and of the means of random directions, on all pairs; Student's 90 % interval."""
    rows = polars.read_parquet(README.parent / "results" / "decision" / "trunk.parquet").filter(
        statistic="concentration", direction="v1", inputs="all", null="isotropic"
    )
    with_addition, alone = (rows.filter(task=task).sort("seed") for task in ("add+x2_y2", "x2_y2"))
    assert with_addition["seed"].to_list() == alone["seed"].to_list() == list(range(1001, 1007))
    text = " ".join(README.read_text().split())
    for column, what in (("measured", "v₁"), ("null_mean", "random directions")):
        more = (with_addition[column] - alone[column]).to_numpy()
        half = 2.0150484 * more.std(ddof=1) / 6**0.5
        said = f"by {more.mean():.3f} \\[{more.mean() - half:.3f}, {more.mean() + half:.3f}\\] for {what}"
        assert said.replace("-", "−") in text


def test_the_counts_of_discovery_are_those_of_the_committed_results():
    rows = Discoveries.read(README.parent / "results" / "discovery" / "discoveries.json").rows
    renamed = [row for row in rows if row.renaming is not None]
    text = " ".join(README.read_text().split())
    for source in ("edge", "random", "logits"):
        found = [row.recovered for row in renamed if row.source == source]
        assert len(found) == 45
        assert f"{sum(found)} of 45" in text
    others = [row for row in rows if row.operation in ("symmetric", "dihedral")]
    found = {source: [row.recovered for row in others if row.source == source] for source in ("edge", "random")}
    said = f"{sum(found['edge'])} of {len(found['edge'])} models, and from eight random directions in none"
    assert said in text
    assert not any(found["random"])
    nothing = [row[1].split(" [")[0].split(" of ") for row in seven_points(rows)[3].rows[1:]]  # shuffles test nothing
    hits, cases = (sum(int(count[i]) for count in nothing) for i in (0, 1))
    assert f"{hits} of {cases}" in text


def test_the_record_of_discovery_is_generated_from_the_committed_results():
    found = Discoveries.read(README.parent / "results" / "discovery" / "discoveries.json")
    record = (README.parent / "docs" / "findings.md").read_text()
    generated = experiment_markdown("discovery", seven_points(found.rows), found.environment.get("git_commit"), "day")
    assert generated[generated.index("\n") :].rstrip() in record
