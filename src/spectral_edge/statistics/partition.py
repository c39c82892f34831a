"""Group averages: checked values and labels, and the sum of each group as one sparse product."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

__all__ = ["Partition", "as_modes", "partition"]


def as_modes(values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as (k, N) float64, one row per function; a 1-D input is k = 1.

    Args:
        values: (k, N) or (N,) finite numbers.

    Returns:
        (k, N) float64.

    Raises:
        ValueError: The shape is neither, or a value is NaN or infinite.
    """
    modes = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if modes.ndim != 2 or modes.size == 0:
        raise ValueError(f"values must have shape (k, N) or (N,) and not be empty, not {np.shape(values)}")
    if not np.isfinite(modes).all():
        mode, column = np.argwhere(~np.isfinite(modes))[0]
        raise ValueError(
            f"values[{mode}, {column}] is {modes[mode, column]}; drop that input from values and labels, or "
            "find where it became so"
        )
    return modes


@dataclass(frozen=True, eq=False)
class Partition:
    """Inputs with a group, listed group after group.

    Attributes:
        members: (n,) indices of the inputs with a label, sorted by group.
        counts: (M,) number of inputs in each group.
    """

    members: NDArray[np.int64]
    counts: NDArray[np.int64]

    def means(self, modes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average each function over each group: one sparse product, O(kN).

        Args:
            modes: (k, N).

        Returns:
            (k, M); 0 for an empty group.
        """
        ends = np.concatenate([[0], np.cumsum(self.counts)])
        indicator = sparse.csr_array(
            (np.ones(len(self.members)), self.members, ends), shape=(len(self.counts), modes.shape[1])
        )
        return (indicator @ modes.T).T / np.maximum(self.counts, 1)


def partition(labels: ArrayLike, order: int, n_inputs: int) -> Partition:
    """Sort inputs into the groups 0 … order-1, leaving out the label -1; groups may be empty.

    Args:
        labels: (N,) integers in -1 … order-1.
        order: M, at least 2.
        n_inputs: N, which ``labels`` must match.

    Returns:
        The partition.

    Raises:
        ValueError: Labels do not match the values or the order, or no input has a label.
    """
    order = operator.index(order)
    array = np.asarray(labels)
    if order < 2:
        raise ValueError(f"order = {order} leaves no frequency; a grouping needs at least 2 groups")
    if array.shape != (n_inputs,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"labels must be integers of shape ({n_inputs},), one per column of values, not {array.dtype} of "
            f"shape {array.shape}"
        )
    outside = np.flatnonzero((array < -1) | (array >= order))
    if outside.size:
        raise ValueError(
            f"labels[{outside[0]}] = {array[outside[0]]} is not in -1 … {order - 1}; is order = {order} the "
            "order of the grouping that made the labels?"
        )
    defined = np.flatnonzero(array >= 0)
    if not defined.size:
        raise ValueError("every label is -1: the grouping is defined on none of these inputs")
    counts = np.bincount(array[defined], minlength=order)
    return Partition(defined[np.argsort(array[defined], kind="stable")], counts)
