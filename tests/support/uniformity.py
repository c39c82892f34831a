"""Is a set of p-values what p-values should be where there is nothing to find?

Resampling p-values lie on a lattice, k/(n + 1), where P(p <= k/(n + 1)) = k/(n + 1). Comparing the empirical
distribution function with the identity *at the p-values found* needs no jitter, and the bound of Dvoretzky, Kiefer
and Wolfowitz (with Massart's constant) holds for any law, continuous or not: P(sup|F_n - F| > ε) <= 2 exp(-2nε²).
"""

import numpy as np

ALPHA = 0.01  # of a false alarm in one check; the seeds are fixed


def excess(pvalues):
    """F_n(p) - p at each p found, sorted by p: above 0 where p-values are too small."""
    p = np.sort(pvalues)
    return np.searchsorted(p, p, side="right") / len(p) - p


def kolmogorov_bound(n, sides):
    return np.sqrt(np.log(sides / ALPHA) / (2 * n))


def is_uniform(pvalues):
    return np.abs(excess(pvalues)).max() <= kolmogorov_bound(len(pvalues), 2)


def is_never_too_small(pvalues):
    """Whether P(p <= α) <= α for all α: uniform or above (ties and few categories push p-values up)."""
    return excess(pvalues).max() <= kolmogorov_bound(len(pvalues), 1)


def rejects_at_the_nominal_rate(pvalues, level):
    """Whether the share of p <= level is ``level`` within 3 standard errors; ``level`` must be on the lattice."""
    error = np.sqrt(level * (1 - level) / len(pvalues))
    return abs(np.mean(np.asarray(pvalues) <= level + 1e-12) - level) <= 3 * error
