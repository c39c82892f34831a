"""Tables of the evidence on causes with planted effects."""

import math

import numpy as np
import polars

from spectral_edge.experiments.causes import TRAINING_ARMS

CONTROLS = ("isotropic", "weights", "span", "blocks", "theta")


def planted(seeds=8, *, task="add", delay=0.0, excess=0.0, cosine=0.99, shares=None):
    """The edge's loss and curvature exceed every null by ``excess``; its arms delay by ``delay`` on a log scale."""
    noise = np.random.default_rng(0).normal(0, 0.01, seeds)
    base = {"task": task, "checkpoint": "stop", "direction": "v1", "centered": True, "is_edge": True, "strength": 1.0}
    quantities = {"ablation": ("log_loss", "loss"), "steering": ("own_share",), "bending": ("log_gauss_newton",)}
    rows = {kind: [] for kind in ("ablation", "steering", "bending", "metric", "training")}
    for seed in range(seeds):
        for kind, names in quantities.items():
            for null in (*CONTROLS, *(["random directions, unmatched"] if kind == "ablation" else [])):
                level = 0.1 if "unmatched" in null else 1.0
                values = {"measured": 1 + excess + noise[seed], "null_mean": level, "baseline": 0.01, "null": null}
                rows[kind] += [base | values | {"seed": seed, "quantity": name} for name in names]
        metric = {"cosine": cosine + noise[seed] / 10, "position_plain": 1, "position_metric": 1}
        rows["metric"].append(base | metric | {"seed": seed})
        for arm in TRAINING_ARMS:
            stop = 400 + 1000 * math.exp(noise[seed] + (delay if arm in ("edge", "edge3") else 0))
            taken = {"removed_share": (shares or {}).get(arm, 0.01), "removed_drift": 0.1}
            times = {"begin": 400, "unchanged_stop": 1400, "stop": stop, "last": stop}
            rows["training"].append(base | taken | times | {"seed": seed, "training_arm": arm})
    return {kind: polars.DataFrame(found) for kind, found in rows.items()}
