"""Runs whose test loss falls before their event and in which nothing else happens, with leads known in advance."""

import numpy as np

from spectral_edge.experiments.early_warning import WarningConfig, WatchedRun, statistics_of

CONFIG = WarningConfig()
STEPS = np.arange(100, 3001, 100)


def watched(operation="add", seed=1, event=None, weight_decay=1.0, falls_at=None, to=0.5, **changes):
    """Memorised at step 300; from ``falls_at`` on the test loss is ``to`` instead of 1; all else stays as it is."""
    keys = [s.key for s in statistics_of(CONFIG) if s.quantity != "steps_since_armed"]
    quantities = {key: (STEPS, np.ones(len(STEPS))) for key in keys}
    fallen = np.zeros(len(STEPS), bool) if falls_at is None else falls_at <= STEPS
    loss = np.where(fallen, to, 1.0)
    quantities["test_loss", None] = (STEPS, loss)
    quantities["step", None] = (STEPS, STEPS.astype(float))
    quantities["weight_decay", None] = (STEPS, np.full(len(STEPS), weight_decay))
    fields = {
        "run_id": f"{operation}-s{seed}-wd{weight_decay:g}", "operation": operation, "p": 97, "seed": seed,
        "weight_decay": weight_decay, "steps": 3000, "memorised_step": 300, "transition_step": event,
        "grok_step": None if event is None else event + 200, "quantities": quantities,
    }  # fmt: skip
    return WatchedRun(**(fields | changes))


def planted_sweep(seeds=(1, 2, 3)):
    """Two operations that generalise at 2 000 + 100 s, warned of 400 steps before; two that never do, and no decay."""
    runs = []
    for seed in seeds:
        event = 2000 + 100 * seed
        runs += [watched(name, seed, event, falls_at=event - 500) for name in ("add", "mul")]
        runs += [watched(name, seed, falls_at=1000, to=0.9) for name in ("x2_xy_y2", "x3_xy")]
        runs += [watched(name, seed, weight_decay=0.0) for name in ("add", "mul", "x2_xy_y2", "x3_xy")]
    return runs


def planted_second():
    return [watched("add.renamed1", 1, 2500, falls_at=1500), watched("random_table", 1, falls_at=1000, to=0.9)]
