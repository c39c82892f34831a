"""What the page on causes says of its results is what the committed tables hold, counted here by hand."""

from pathlib import Path

import numpy as np
import polars
import pytest

from spectral_edge.experiments.causes import causes_answers
from support.pages import tables_in_the_record

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "causes"
PAGE = " ".join((ROOT / "docs" / "causes.md").read_text().split())
OPERATIONS = ("add", "sub", "mul", "x2_y2")
KINDS = ("ablation", "steering", "bending", "metric", "training")
CHECKPOINTS = ("memorisation", "transition", "stop")
CONTROLS = ("isotropic", "weights", "span", "blocks", "theta")
T = {30: 1.6991270, 8: 1.8945786}  # Student's t of n - 1 degrees of freedom, 90 %


@pytest.fixture(scope="module")
def tables():
    return {kind: polars.read_parquet(RESULTS / f"{kind}.parquet") for kind in KINDS}


def minus(text):
    return text.replace("-", "−")


def said(values, digits=2):
    """Mean and 90 % interval over seeds, as the page writes them."""
    mean, half = np.mean(values), T[len(values)] * np.std(values, ddof=1) / len(values) ** 0.5
    return minus(f"{mean:.{digits}f} [{mean - half:.{digits}f}, {mean + half:.{digits}f}]")


def in_turn(values, digits=2):
    """Numbers of the four operations, as the page writes them."""
    *first, last = (minus(f"{value:.{digits}f}") for value in values)
    return f"{', '.join(first)} and {last}"


def between(values, digits=2):
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def by_seed(rows, column):
    """Of several rows of a seed their mean, seeds in order."""
    return rows.group_by("seed").agg(polars.col(column).mean()).sort("seed")[column].to_numpy()


def excess(rows, nulls, sign=1):
    """The competitor with the smallest mean excess, and that excess by seed."""
    found = {null: rows.filter(null=null) for null in nulls}
    return smallest(
        {null: sign * (by_seed(own, "measured") - by_seed(own, "null_mean")) for null, own in found.items()}
    )


def smallest(differences):
    return min(differences.items(), key=lambda pair: np.mean(pair[1]))


def delays(training, task, arm):
    """Of an arm, by seed: log of how long it took from its begin, over the unchanged run."""
    rows = training.filter(task=task, training_arm=arm).unique("seed").sort("seed")
    assert rows["stop"].null_count() == 0
    took, unchanged = ((rows[name] - rows["begin"]).to_numpy() for name in ("stop", "unchanged_stop"))
    return np.log(took / unchanged)


def removed(tables, task, strength=1.0, quantity="log_loss", *, centered=True, is_edge=True):
    return tables["ablation"].filter(
        task=task, moved="removed", centered=centered, is_edge=is_edge, strength=strength, quantity=quantity
    )


def bent(tables, task, direction, quantity="log_gauss_newton", checkpoint="stop"):
    return tables["bending"].filter(task=task, checkpoint=checkpoint, direction=direction, quantity=quantity)


LOSS, DELAY = np.log(2), np.log(1.25)  # margins of the protocol


def effects(tables, task):
    """An operation's column in the table of answers: margin, competitor and differences by seed of each question."""
    for strength in (0.5, 1.0):
        for sign in (1, -1):
            yield LOSS, *excess(removed(tables, task, strength), CONTROLS, sign)
    whole = tables["steering"].filter(polars.col("strength").abs() == 1.0, task=task)
    for quantity in ("log_share", "log_amplitude"):
        yield LOSS, *excess(whole.filter(quantity=quantity), CONTROLS)
    for direction, nulls in (("v1", CONTROLS[:4]), ("v1-theta", ("isotropic", "weights", "blocks"))):
        for sign in (1, -1):
            yield LOSS, *excess(bent(tables, task, direction), nulls, sign)
    yield 0.0, None, by_seed(tables["metric"].filter(task=task, checkpoint="stop"), "cosine") - 0.9
    of = {arm: delays(tables["training"], task, arm) for arm in set(tables["training"]["training_arm"])}
    for arm, other in (("edge", "span"), ("across", "span_across")):
        yield DELAY, *smallest({name: of[arm] - of[name] for name in (other, "rest")})
    for arm in ("edge", "edge3", "across", "theta"):
        yield DELAY, None, of[arm]


def by_interval(margin, values):
    """The answer before it is asked whether other seeds would say the same."""
    mean, half = np.mean(values), T[len(values)] * np.std(values, ddof=1) / len(values) ** 0.5
    if mean - half > 0 and mean >= margin:
        return "yes"
    return "no" if mean + half < margin else "undecided"


def test_every_run_and_arm_was_measured(tables):
    for task in OPERATIONS:
        for kind, seeds in (("ablation", 30), ("steering", 30), ("bending", 8), ("metric", 8), ("training", 8)):
            assert tables[kind].filter(task=task)["seed"].n_unique() == seeds
        for arm, rows in tables["training"].filter(task=task).group_by("training_arm"):
            assert rows["seed"].n_unique() == 8, arm


def test_answers_are_those_of_the_rules_and_their_numbers_are_counted_by_hand(tables):
    words = {"yes": "**yes**", "no": "**no**", "undecided": "undecided"}
    answers = causes_answers(tables)
    columns = {task: list(effects(tables, task)) for task in OPERATIONS}
    unstable = 0
    for row, together in enumerate(answers["all"]):
        cells = []
        for task in OPERATIONS:
            (margin, over, values), answer = columns[task][row], answers[task][row].answer
            plain = by_interval(margin, values)
            assert answer in (plain, "undecided")
            unstable += plain != answer
            mark = "" if plain == answer else f" ({plain} †)"
            cells.append(f"{words[answer]}{mark} {said(values)}" + (f" (`{over}`)" if over else ""))
        question = together.question.replace("v1 to v3", "v₁ … v₃").replace("v1", "v₁")
        assert f"| {question} | {' | '.join(cells)} | {words[together.answer]} |" in PAGE
    assert PAGE.count("†") == unstable + 1  # and where it is explained


def test_losses_after_removal_are_geometric_means(tables):
    for task, name in zip(OPERATIONS, ("add", "sub", "mul", "x² + y²"), strict=True):
        rows = removed(tables, task, 1.0)

        def mean(column, null="isotropic", digits=1, rows=rows):
            return f"{np.exp(rows.filter(null=null)[column].mean()):.{digits}f}"

        controls = [mean("null_mean", null) for null in CONTROLS]
        ends = mean("baseline", digits=3), mean("null_mean", "random directions, unmatched", 3)
        assert f"| {name} | {ends[0]} | {mean('measured')} | {' | '.join(controls)} | {ends[1]} |" in PAGE


def mildest(rows):
    """The smallest of the controls' geometric means."""
    return min(np.exp(rows.filter(null=null)["null_mean"].mean()) for null in CONTROLS)


def without(rows):
    return np.exp(rows.filter(null="isotropic")["measured"].mean())


def milder_than(tables, task, strength):
    """By how much, of each control: mean difference of logarithms over seeds."""
    rows = removed(tables, task, strength)
    return {null: -excess(rows, (null,))[1].mean() for null in CONTROLS}


def test_the_edge_is_compared_with_the_mildest_control(tables):
    half, whole = ({t: milder_than(tables, t, strength) for t in OPERATIONS} for strength in (0.5, 1.0))
    add, sub, mul = (f"{np.exp(min(half[task].values())):.1f}" for task in OPERATIONS[:3])
    assert f"at least {add} in addition and {mul} in multiplication (*yes*), and of {sub} in subtraction" in PAGE
    assert all(min(whole[task], key=whole[task].get) == "blocks" for task in OPERATIONS[:3])
    add, sub, mul = (f"{np.exp(whole[task]['blocks']):.1f}" for task in OPERATIONS[:3])
    assert f"over `blocks`, the mildest kind of step, are {add}, {mul} and {sub} (in this order)" in PAGE
    harsher = [f"{np.exp(-max(found['x2_y2'].values())):.1f}" for found in (half, whole)]
    assert f"by a factor of {' and '.join(harsher)} over the harshest kind" in PAGE
    words = ("none", "one", "two", "three", "four", "five")
    milder = sum(value > 0 for value in milder_than(tables, "x2_y2", 0.1).values())
    assert f"A tenth of the edge raises the loss less than {words[milder]} of the five kinds" in PAGE
    for which, words in (
        (
            {"is_edge": False},
            "the loss is higher than for the mildest control: {} (add, sub, mul, x² + y²), against {}.",
        ),
        ({"centered": False}, "With v₁ of the window that is not centred it is {}, against {}."),
    ):
        rows = [removed(tables, task, **which) for task in OPERATIONS]
        assert words.format(in_turn(map(without, rows), 1), in_turn(map(mildest, rows), 1)) in PAGE
        assert which == {"centered": False} or all(without(own) > mildest(own) for own in rows)


def test_each_part_of_v1_harms_more_than_v1_in_three_operations(tables):
    said = []
    for task in OPERATIONS:
        steps = tables["ablation"].filter(moved="v1 without θ", task=task, quantity="log_loss", null="isotropic")
        both = sorted(np.exp(steps.filter(strength=sign)["measured"].mean()) for sign in (1.0, -1.0))
        said.append(between(both, 1))
        edge, theta = removed(tables, task), removed(tables, task).filter(null="theta")["null_mean"]
        assert (without(edge) < min(*both, np.exp(theta.mean()))) == (task != "x2_y2")
        assert (without(edge) > max(*both, np.exp(theta.mean()))) == (task == "x2_y2")
    assert f"gives a held-out loss of {', '.join(said[:-1])} and {said[-1]} (by its sign)" in PAGE


def test_the_published_comparison_is_a_median_of_ratios(tables):
    def ratio(task, null):
        rows = removed(tables, task).filter(null=null)
        before, after, control = (np.exp(rows[name].to_numpy()) for name in ("baseline", "measured", "null_mean"))
        return np.median((after - before) / np.abs(control - before))

    unmatched = [ratio(task, "random directions, unmatched") / 1e3 for task in OPERATIONS]
    assert f"our factors are {between(unmatched, 0)} thousand (medians over seeds)" in PAGE
    matched = [ratio(task, null) for task in OPERATIONS for null in CONTROLS]
    assert f"the loss rises {between(matched)} times as much as for the control" in PAGE


def test_the_removed_part_is_as_long_as_the_page_says(tables):
    shares = [removed(tables, task).filter(null="theta")["share"].mean() for task in OPERATIONS]
    assert f"The removed part is {in_turn(shares)} times as long as the weights" in PAGE
    assert f"the weights have {in_turn((1 - share**2) ** 0.5 for share in shares)} of their length" in PAGE


def test_accuracies_after_half_a_removal_are_means(tables):
    half = {task: removed(tables, task, 0.5, "accuracy") for task in OPERATIONS}
    edge = in_turn(half[task].filter(null="theta")["measured"].mean() for task in OPERATIONS)
    theta, isotropic, blocks = (
        in_turn(half[task].filter(null=null)["null_mean"].mean() for task in OPERATIONS)
        for null in ("theta", "isotropic", "blocks")
    )
    assert f"leaves an accuracy of {edge}" in PAGE
    assert f"along θ leaves {theta}, a random one {isotropic}, and `blocks` {blocks}" in PAGE


def times(rows, null):
    """Geometric mean of the ratio to a null."""
    own = rows.filter(null=null)
    return np.exp(np.mean(by_seed(own, "measured") - by_seed(own, "null_mean")))


def test_curvatures_are_ratios_to_random_directions(tables):
    for direction, name in (("v1", "v₁"), ("v1-theta", "v₁ without θ"), ("theta", "θ")):
        for checkpoint in CHECKPOINTS:
            cells = []
            for task in OPERATIONS:
                rows = bent(tables, task, direction, checkpoint=checkpoint)
                cells.append(", ".join(f"{times(rows, null):.2f}" for null in ("isotropic", "span")))
            assert f"| {name} | {checkpoint} | {' | '.join(cells)} |" in PAGE
    window = [times(bent(tables, task, "v1-theta"), "span") for task in OPERATIONS]
    assert f"against `span` the factor is {between(window)}" in PAGE
    third = in_turn(times(bent(tables, task, "v3"), "isotropic") for task in OPERATIONS)
    assert f"v₃ bends the loss {third} times as much" in PAGE


def test_responses_to_the_two_parts_of_v1_oppose_each_other(tables):
    """|r(v1)|² = |c r(θ)|² + |s r(rest)|² + twice their product, v1 being cθ + s rest with c² + s² = 1."""
    cosines = []
    for task in OPERATIONS:
        v1, theta, rest = (
            np.exp(by_seed(bent(tables, task, direction, "log_response").filter(null="isotropic"), "measured"))
            for direction in ("v1", "theta", "v1-theta")
        )
        c = by_seed(tables["metric"].filter(task=task, checkpoint="stop"), "cosine_theta_plain")
        along, across = c * theta, np.sqrt(1 - c**2) * rest
        cosines.append(np.mean((v1**2 - along**2 - across**2) / (2 * along * across)))
    assert f"from the two parts have a cosine of {in_turn(cosines)} at the stop" in PAGE


def test_steps_move_logits_as_much_as_the_page_says(tables):
    whole = tables["steering"].filter(polars.col("strength").abs() == 1.0, quantity="log_amplitude")
    against = {null: [times(whole.filter(task=task), null) for task in OPERATIONS] for null in CONTROLS}
    assert f"own frequencies {in_turn(against['isotropic'], 1)} times as much" in PAGE
    assert f"but {in_turn(against['theta'])} times as much as a step along θ" in PAGE
    assert f"It moves them {in_turn(against['span'])} times as much as a step along a random direction" in PAGE
    assert f"moves them {in_turn([1 / value for value in against['weights']], 1)} times as much as v₁" in PAGE


def test_cosines_between_metrics_are_means(tables):
    def mean(task, column, checkpoint="stop"):
        return tables["metric"].filter(task=task, checkpoint=checkpoint)[column].mean()

    for checkpoint in CHECKPOINTS:
        cells = [
            ", ".join(
                f"{mean(task, name, checkpoint):.2f}" for name in ("cosine", "sigma_ratio_plain", "sigma_ratio_metric")
            )
            for task in OPERATIONS
        ]
        assert f"| {checkpoint} | {' | '.join(cells)} |" in PAGE
    permuted = min(mean(task, "cosine_permuted") for task in OPERATIONS)
    assert f"at the stop is at least {np.floor(1000 * permuted) / 1000:.3f}." in PAGE
    for checkpoint, words in zip(CHECKPOINTS, ("at memorisation", "at the transition", "at the stop"), strict=True):
        cosines = in_turn(mean(task, "cosine_arm_edge", checkpoint) for task in OPERATIONS)
        assert f"{cosines} {words}" in PAGE


def test_arms_are_delayed_and_take_out_what_the_page_says(tables):
    drift, share, norm, left = {}, {}, {}, {}
    for arm in ("edge", "edge3", "across", "theta", "span", "span_across", "rest"):
        cells = []
        for task in OPERATIONS:
            rows = tables["training"].filter(task=task, training_arm=arm).sort("step")
            once = rows.unique("seed")
            drift[arm, task], share[arm, task] = once["removed_drift"].mean(), once["removed_share"].mean()
            ends = rows.group_by("seed").agg(polars.col("norm").last() / polars.col("norm").first())
            norm[arm, task], left[arm, task] = ends["norm"].mean(), rows["cosine_done"].mean()
            logs = delays(tables["training"], task, arm)
            half = T[8] * np.std(logs, ddof=1) / 8**0.5
            mean, low, high = np.exp([np.mean(logs), np.mean(logs) - half, np.mean(logs) + half])
            cells.append(f"{mean:.2f} [{low:.2f}, {high:.2f}], {drift[arm, task]:.2f}")
        assert f"| {' | '.join(cells)} |" in PAGE
    keys = {arm: [(arm, task) for task in OPERATIONS] for arm in ("edge", "theta", "span")}
    ends = {arm: between([norm[key] for key in own]) for arm, own in keys.items()}
    assert f"their norm is {ends['theta']} times that at the begin, in the arm `edge` {ends['edge']} times" in PAGE
    assert f"in `span`, which takes out little, {ends['span']} times" in PAGE
    assert f"has {between([100 * share[key] for key in keys['edge']], 0)} % of the squared length" in PAGE
    assert f"and {between([100 * drift[key] for key in keys['edge']], 0)} % of the drift" in PAGE
    assert f"has a mean cosine of {between([left[key] for key in keys['edge']])} to" in PAGE
    assert PAGE.count(f"{between([100 * drift[key] for key in keys['edge']], 0)} % of the drift") == 2
    latest = []
    for task in OPERATIONS:
        logs = delays(tables["training"], task, "edge")
        latest.append(np.exp(logs.mean() + T[8] * logs.std(ddof=1) / 8**0.5))
    assert f"the largest upper end of a 90 % interval is {max(latest):.2f}" in PAGE
    logs = delays(tables["training"], "x2_y2", "theta")
    ends = np.exp(logs.mean() + np.array([-1, 1]) * T[8] * logs.std(ddof=1) / 8**0.5)
    assert f"There the delay is {between(100 * (ends - 1), 0)} % in the interval" in PAGE
    for task in OPERATIONS[:3]:
        assert 1.75 < drift["theta", task] / drift["edge", task] < 2.25  # "about twice as much"
    assert abs(drift["edge3", "x2_y2"] - drift["theta", "x2_y2"]) < 0.05  # "as much"
    assert drift["rest", "x2_y2"] > 2 * drift["edge", "x2_y2"]


def test_readme_says_the_same(tables):
    readme = " ".join((ROOT / "README.md").read_text().split())
    longer = [100 * (np.exp(np.mean(delays(tables["training"], task, "theta"))) - 1) for task in OPERATIONS]
    sentence = f"takes {between(longer, 0)} % longer"
    assert sentence in PAGE
    assert sentence in readme
    harshest = np.exp(-max(milder_than(tables, "x2_y2", 0.5).values()))
    assert f"in x² + y² the loss is higher, by a factor of {harshest:.1f} over the harshest such step" in readme
    without = [np.exp(np.mean(delays(tables["training"], task, "edge"))) for task in OPERATIONS]
    assert f"taken out of every update takes {between(without)} times as long" in readme
    assert f"changes the time to the stop by a factor of {between(without)} (8 seeds" in PAGE
    answers = causes_answers(tables)
    without = [row for row in answers["all"] if row.question == "taking v1 out of updates delays generalisation"]
    assert [row.answer for row in without] == ["no"]


def test_the_section_of_the_record_has_every_table():
    assert tables_in_the_record(RESULTS / "tables") == 7
