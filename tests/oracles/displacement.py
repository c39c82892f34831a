"""Displacements and updates stacked and decomposed one window at a time, in float64."""

import itertools

import numpy as np


def displacement_sigma(snapshots, t, center):
    x = np.stack([np.asarray(s, dtype=np.float64) - np.asarray(snapshots[0], dtype=np.float64) for s in snapshots])
    x = x[1 : t + 1]
    if center:
        x = x - x.mean(axis=0)
    return np.linalg.svd(x, compute_uv=False)


def window_sigma(snapshots, end, stride, window):
    """Of the window of updates that ends with snapshot number ``end``."""
    at = [np.asarray(snapshots[i], dtype=np.float64) for i in range(end - stride * window, end + 1, stride)]
    return np.linalg.svd(np.stack([b - a for a, b in itertools.pairwise(at)]), compute_uv=False)
