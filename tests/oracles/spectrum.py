"""The spectrum of updates by a full float64 SVD of X itself."""

import numpy as np


def svd(updates, center):
    x = np.asarray(updates, dtype=np.float64)
    if center:
        x = x - x.mean(axis=0)
    _, sigma, v = np.linalg.svd(x, full_matrices=False)
    return sigma, v


def edge_position(sigma):
    best, found = -1.0, 1
    for j in range(1, min(10, len(sigma) - 1) + 1):
        score = sigma[j - 1] / sigma.sum() * sigma[j - 1] / sigma[j]
        if score > best:
            best, found = score, j
    return found
