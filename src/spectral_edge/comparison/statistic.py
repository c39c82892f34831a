"""What a statistic is: one number of a response, of a direction, or of a set of responses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "LabelledStatistic",
    "Statistic",
    "Takes",
    "check_even",
    "named_statistics",
    "of_direction",
    "of_set",
    "value_of",
]

Takes = Literal["response", "direction", "set"]

# Two evaluations of one even function differ by rounding only.
_SAME = 1e-5


class Statistic(Protocol):
    """One finite number; what it is given is a tensor.

    A plain function of a response is a statistic: ``name`` and ``takes`` may be left out. A class adds them.
    """

    @property
    def name(self) -> str:
        """How the table calls it; ``__name__`` if left out."""
        ...

    @property
    def takes(self) -> Takes:
        """``"response"``, (N, d); ``"direction"``, (D,); or ``"set"``, the responses (k, N, d) to all directions."""
        ...

    def __call__(self, values: Tensor, /) -> float:
        """Compute the number. The sign of a direction is arbitrary, so f(-x) must be f(x)."""
        ...


@runtime_checkable
class LabelledStatistic(Protocol):
    """A statistic of inputs that carry labels; it can be had under the null ``inputs``."""

    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        """Return this statistic with the labels exchanged at random."""
        ...


@dataclass(frozen=True)
class _Function:
    function: Callable[[Tensor], float]
    name: str
    takes: Takes

    def __call__(self, values: Tensor) -> float:
        return self.function(values)


def of_direction(function: Callable[[Tensor], float], name: str | None = None) -> Statistic:
    """Make a statistic of a function of the direction itself, (D,), which needs no model pass.

    >>> of_direction(lambda v: float(v.abs().max()), name="largest_entry").takes
    'direction'
    """
    return _Function(function, name or _name_of(function), "direction")


def of_set(function: Callable[[Tensor], float], name: str | None = None) -> Statistic:
    """Make a statistic of a function of the responses (k, N, d) to all tested directions together.

    The nulls are then sets of k directions.

    >>> of_set(lambda h: float(torch.linalg.matrix_rank(h.flatten(1))), name="rank").takes
    'set'
    """
    return _Function(function, name or _name_of(function), "set")


def named_statistics(statistics: Any) -> list[Statistic]:
    """Return what ``compare`` was given as a list of statistics with distinct names.

    Args:
        statistics: one, several, or a mapping from names.

    Raises:
        ValueError: there are none, one is not callable, two share a name, or ``takes`` is unknown.
    """
    if isinstance(statistics, Mapping):
        found = [_complete(statistic, name) for name, statistic in statistics.items()]
    elif isinstance(statistics, Sequence):
        found = [_complete(statistic, None) for statistic in statistics]
    else:
        found = [_complete(statistics, None)]
    names = [statistic.name for statistic in found]
    nameless = next((name for name in names if not isinstance(name, str)), None)
    if nameless is not None:
        raise ValueError(f"compare: a statistic is called {nameless!r}; names are strings")
    if not names:
        raise ValueError(
            "compare: no statistic was given; pass a function of a response (N, d), or se.Concentration(…)"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            f"compare: two statistics are called {twice!r}; name them: statistics={{'first': …, 'second': …}}"
        )
    return found


def _complete(statistic: Any, name: str | None) -> Statistic:
    """The statistic with a name and what it takes; other attributes it has are not looked at."""
    if not callable(statistic) or isinstance(statistic, type):
        what = "is a class, not an object of it" if isinstance(statistic, type) else "cannot be called"
        raise ValueError(f"compare: statistic {statistic!r} {what}; pass a function of a response (N, d), or an object")
    takes: Any = getattr(statistic, "takes", "response")
    if takes not in get_args(Takes):
        raise ValueError(
            f"compare: statistic {name or _name_of(statistic)!r} takes {takes!r}; choose {', '.join(get_args(Takes))}"
        )
    kind = _Labelled if isinstance(statistic, LabelledStatistic) else _Function
    return kind(statistic, _name_of(statistic) if name is None else name, takes)


@dataclass(frozen=True)
class _Labelled(_Function):
    def permute_labels(self, generator: np.random.Generator) -> Callable[[Tensor], float]:
        return self.function.permute_labels(generator)  # type: ignore[attr-defined]


def _name_of(statistic: Any) -> str:
    return str(getattr(statistic, "name", None) or getattr(statistic, "__name__", type(statistic).__name__))


def value_of(statistic: Callable[[Tensor], float], name: str, values: Tensor, place: str) -> float:
    """Evaluate a statistic and check that it gave one finite number.

    Args:
        statistic: to call.
        name: of the statistic, for errors.
        values: what it takes.
        place: what the values belong to, for errors: "direction 2", "draw 17 of the null 'span'".

    Raises:
        ValueError: it did not, or it changed ``values``; the message names statistic and place.
    """
    version = _version_of(values)
    found: Any = statistic(values)
    if _version_of(values) != version:
        raise ValueError(
            f"compare: statistic {name!r} changes the tensor that it is given, which other statistics read, too; "
            "have it work on a copy"
        )
    if isinstance(found, Tensor | np.ndarray) and math.prod(found.shape) != 1:
        raise ValueError(
            f"compare: statistic {name!r} of {place} is an array of shape {tuple(found.shape)}, not one number; "
            "reduce it, or pass one statistic for each entry"
        )
    try:
        number = float(found)
    except (TypeError, ValueError):
        raise ValueError(
            f"compare: statistic {name!r} of {place} is {type(found).__name__} {found!r}, not one number"
        ) from None
    if not math.isfinite(number):
        raise ValueError(
            f"compare: statistic {name!r} of {place} is {number}; is the response constant there? Drop that direction, "
            "or have the statistic give a number"
        )
    return number


def _version_of(values: Tensor) -> int | None:
    """How often a tensor was changed in place; unknown under ``torch.inference_mode``."""
    return None if values.is_inference() else values._version


def check_even(statistic: Statistic, values: Tensor, measured: float) -> None:
    """Refuse a statistic that depends on the sign of a direction.

    Args:
        statistic: to check.
        values: what it was measured on; of a set, each response is turned round alone.
        measured: its value there.

    Raises:
        ValueError: f(-x) differs from f(x).
    """
    if statistic.takes == "set":
        turned = [torch.cat([values[:i], -values[i : i + 1], values[i + 1 :]]) for i in range(len(values))]
    else:
        turned = [-values]
    for other in (value_of(statistic, statistic.name, each, "directions with a sign changed") for each in turned):
        if abs(other - measured) <= _SAME * max(abs(other), abs(measured)):
            continue
        raise ValueError(
            f"compare: statistic {statistic.name!r} is {measured:.6g} for a direction v and {other:.6g} for -v, but "
            "the sign of an edge direction is arbitrary; make the statistic even, for example by squaring the response"
        )
