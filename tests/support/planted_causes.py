"""Tables of the evidence on causes with planted effects."""

import math

import numpy as np
import polars

from spectral_edge.experiments.causes import TRAINING_ARMS, UNMATCHED

CONTROLS = ("isotropic", "weights", "span", "blocks", "theta")


def planted(seeds=8, *, task="add", delay=0.0, excess=0.0, cosine=0.99, drifts=None, stuck=None, diverged=None):
    """The edge's numbers exceed every null by ``excess``; its arms delay by ``delay`` on a log scale.

    ``drifts``: arm -> drift that it takes out. ``stuck``, ``diverged``: arm -> seeds in which it
    never stops, or diverges at step 900.
    """
    noise = np.random.default_rng(0).normal(0, 0.01, seeds)
    base = {"task": task, "checkpoint": "stop", "centered": True, "is_edge": True, "moved": "removed", "share": 0.5}
    rows = {kind: [] for kind in ("ablation", "steering", "bending", "metric", "training")}

    def add(kind, seed, null, level=1.0, **keys):
        values = {"measured": 1 + excess + noise[seed], "null_mean": level, "baseline": math.log(0.01), "null": null}
        rows[kind].append(base | values | {"drawn": [level] * 3, "seed": seed} | keys)

    for seed in range(seeds):
        for null in CONTROLS:
            for strength in (0.5, 1.0):
                add("ablation", seed, null, quantity="log_loss", strength=strength)
            for strength in (-1.0, -0.2, 0.2, 1.0):
                for quantity in ("log_share", "log_amplitude"):
                    add("steering", seed, null, quantity=quantity, strength=strength)
            for direction in ("v1", "v1-theta"):
                add("bending", seed, null, quantity="log_gauss_newton", direction=direction)
        add("ablation", seed, UNMATCHED, level=math.log(0.011), quantity="log_loss", strength=1.0)
        rows["metric"].append(
            base
            | {"seed": seed, "cosine": cosine + noise[seed] / 10, "cosine_permuted": 0.5}
            | {"position_plain": 1, "position_metric": 1}
        )
        for arm in TRAINING_ARMS:
            end = 400 + 1000 * math.exp(noise[seed] + (delay if arm in ("edge", "edge3") else 0))
            never = seed in (stuck or {}).get(arm, ())
            whole = {"seed": seed, "training_arm": arm, "begin": 400, "unchanged_stop": 1400, "removed_share": 0.01}
            whole |= {"removed_drift": (drifts or {}).get(arm, 0.1), "last": 2800.0 if never else end}
            broken = seed in (diverged or {}).get(arm, ())
            whole |= {"stop": None if never or broken else end, "diverged": broken}
            whole |= {"last": 900.0} if broken else {}
            lies = {"cosine_theta": 0.5, "cosine_before": 0.6, "cosine_done": 0.7}
            rows["training"] += [base | whole | lies | {"step": step, "norm": step / 100} for step in (400, 500)]
    return {kind: polars.DataFrame(found, infer_schema_length=None) for kind, found in rows.items()}
