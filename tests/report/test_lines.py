"""Which rows are one quantity, and which quantities lead a claim."""

from __future__ import annotations

from spectral_edge.report.lines import FEWEST_LINES, MOST_LINES, headline, lines_of, setting
from support.many_seeds import SEEDS, over_seeds
from support.synthetic import fake_row

NULL = {"kind": "random_directions", "n": 200, "mean": 0.1, "std": 0.01, "quantile95": 0.2, "alternative": "greater"}


def seeds(**changes):
    null = NULL | {"pvalue": 0.5}
    rows = [fake_row("add", f"r{seed}", seed=seed, **({"null": null} | changes)) for seed in SEEDS]
    return [over_seeds(rows, 0.3), *rows]


def test_a_row_over_seeds_and_its_seeds_are_one_quantity():
    lines = lines_of(seeds())
    assert len(lines) == 1
    assert lines[0].row.seeds == [42, 137, 2024]
    assert [row.seed for row in lines[0].runs] == [42, 137, 2024]
    assert lines[0].n_runs == 3


def test_whatever_names_the_measurement_tells_quantities_apart():
    changes = [{}, {"direction": "v2"}, {"window": 10}, {"checkpoint": "transition"}, {"weight_decay": 0.0}]
    changes += [{"model": "add+mul"}, {"inputs": "all"}, {"grouping": "difference"}, {"method": "finite_difference"}]
    rows = [row for change in changes for row in seeds(**change)]
    assert len(lines_of(rows)) == len(changes)


def test_windows_that_differ_with_the_seed_are_one_quantity_only_where_they_must():
    shorter = {"claim": "C4", "checkpoint": "memorisation"}
    rows = [fake_row("add", f"r{seed}", seed=seed, window=5 + seed % 3, **shorter) for seed in SEEDS]
    assert len(lines_of(rows)) == 1
    elsewhere = [row.model_copy(update={"checkpoint": "stop"}) for row in rows]
    assert len(lines_of(elsewhere)) == len({row.window for row in rows}) > 1


def test_the_published_number_is_found_on_the_row_of_its_seed():
    rows = seeds()
    rows[1] = rows[1].model_copy(update={"published": 0.33, "published_is_upper_bound": True, "published_peak": 26})
    (line,) = lines_of(rows)
    assert (line.published, line.is_upper_bound, line.published_peak) == (0.33, True, 26)
    assert line.row.published is None


def test_the_papers_seed_stands_for_a_quantity_without_a_row_over_seeds():
    rows = [fake_row("add", f"r{seed}", seed=seed, measured=float(seed)) for seed in (7, 42, 137)]
    (line,) = lines_of(rows)
    assert line.row.seed == 42
    assert [row.seed for row in line.runs] == [42, 7, 137]


def test_a_row_over_runs_alone_counts_the_runs_of_its_interval():
    row = over_seeds(seeds()[1:], 0.3)
    (line,) = lines_of([row.model_copy(update={"interval": row.interval.model_copy(update={"n": 12})})])
    assert line.n_runs == 12
    assert line.runs == ()


def test_settings_that_vary_are_in_the_label_and_those_shared_are_not():
    lines = lines_of([*seeds(), *seeds(checkpoint="transition"), *seeds(direction="v2")])
    varying, shared = setting(lines)
    assert varying == ("checkpoint",)
    assert [line.label(varying) for line in lines] == [
        "concentration F of v1, at the stop",
        "concentration F of v1, at the transition",
        "concentration F of v2, at the stop",
    ]
    assert "window 20" in shared
    assert "by sum (a + b)" in shared
    assert "transition" not in shared


def directions(rows):
    return {line.row.direction for line in headline(lines_of(rows))}


def test_published_quantities_lead_then_those_over_seeds():
    of_v1 = seeds(direction="v1", published=0.33)
    published = fake_row("add", "r", direction="v9", published=0.4)
    over = [row for k in range(10, 20) for row in seeds(direction=f"v{k}")]
    alone = [fake_row("add", "r", direction=f"w{k}") for k in range(10)]
    rows = [*alone, *over, published, *of_v1]
    assert directions(rows) == {"v1", "v9", *(f"v{k}" for k in range(10, 20))}
    assert len(directions(rows)) == FEWEST_LINES


def test_late_checkpoints_go_first():
    rows = [row for k in range(20) for name in ("early", "stop") for row in seeds(direction=f"w{k}", checkpoint=name)]
    assert {line.row.checkpoint for line in headline(lines_of(rows))} == {"stop"}


def test_published_quantities_are_cut_where_they_are_too_many():
    rows = [fake_row("add", "r", direction=f"w{k}", published=0.1) for k in range(40)]
    assert len(headline(lines_of(rows))) == MOST_LINES


def test_tasks_take_turns_where_not_all_quantities_fit():
    rows = [
        row.model_copy(update={"task": task})
        for task in ("add", "sub", "mul")
        for k in range(20)
        for row in seeds(direction=f"w{k}")
    ]
    assert [line.row.task for line in headline(lines_of(rows))] == ["add"] * 4 + ["sub"] * 4 + ["mul"] * 4


def test_a_quantity_without_null_goes_behind():
    rows = [row for k in range(20) for row in seeds(direction=f"w{k}")]
    rows = [row.model_copy(update={"null": None}) if row.direction == "w3" else row for row in rows]
    assert "w3" not in directions(rows)
    assert "w4" in directions(rows)


def test_nothing_has_no_headline():
    assert headline([]) == []
    assert setting([]) == ((), "")
