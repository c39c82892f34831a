"""Copies of runs whose peaks are the seed's in addition and anything in multiplication, and how they part."""

from spectral_edge.store import CopyRow, PartingRow, Rounding

SEEDS = (42, 137, 2024)


def copy_row(operation, seed, copy, peak, concentration):
    return CopyRow(
        run_id=f"{operation}-s{seed}-{copy}", operation=operation, seed=seed, copy_number=copy, learning_rate=1e-3,
        step=3000 + SEEDS.index(seed), window=20, stride=100, centered=True,
        grouping={"add": "sum", "mul": "discrete_log"}[operation], concentration=concentration, peak=peak,
        random_seed=0, random_concentration=[0.1, 0.2], random_peak=[7, 7],
    )  # fmt: skip


def parting(operation, same_seed, distance):
    return PartingRow(
        operation=operation, run_id="a", other_run_id="b", same_seed=same_seed,
        steps=[100 * k for k in range(len(distance))], distance=distance,
    )  # fmt: skip


def planted_rounding(copies=5):
    """Addition repeats the paper's frequencies in v1, v2 and v3 with seed 42; each multiplication has its own."""
    rows = []
    for number, seed in enumerate(SEEDS):
        for copy in range(copies):
            peak = [26, 26, 25, 1, 1] if seed == 42 else [number + 1] * 5
            rows.append(copy_row("add", seed, copy, peak, [0.3 + 0.1 * number + 0.001 * copy] * 5))
            rows.append(copy_row("mul", seed, copy, [1 + number + 3 * copy] * 5, [0.1 + 0.1 * copy] * 5))
    partings = [parting(name, True, [0.0, 1e-6, 0.02, 0.3]) for name in ("add", "mul")]
    partings += [parting("add", True, [0.0, 1e-6, 0.005, 0.05]), parting("add", False, [1.4, 1.4, 1.3, 1.2])]
    return Rounding(environment={"git_commit": "abc123"}, copies=rows, partings=partings)
