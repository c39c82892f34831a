"""How long a comparison will take, said first, and how far it is; on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TaskID

__all__ = ["Progress"]


class Progress:
    """Times the tested directions, then counts draws; a bar is shown on a terminal only."""

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self._started = time.perf_counter()
        self._timing = 0.0
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds of a piece of work that is only done to time it."""
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        self._timing += seconds
        return seconds

    def begin(self, tested: int, responses: int, permutations: int, permuting: float) -> None:
        """Print how long all draws will take at most: the ``tested`` ones until now had the warm-up to pay, too.

        Args:
            tested: number of tested directions.
            responses: random directions to come.
            permutations: of the labels, each for all tested directions.
            permuting: seconds that they are expected to take; not part of the time until now.
        """
        measuring = time.perf_counter() - self._started - self._timing
        seconds = measuring / tested * responses + permuting
        permuted = f" and {permutations} permutations of the labels" if permutations else ""
        self._console.print(
            f"spectral-edge compare: {tested} direction{'s' * (tested > 1)} against {responses} random ones{permuted}, "
            f"{_duration(seconds)} at most"
        )
        if self._console.is_terminal and not self._console.quiet:
            self._bar = Bar(console=self._console, transient=True)
            self._task = self._bar.add_task("draws", total=responses + permutations)
            self._bar.start()

    def advance(self, draws: int) -> None:
        """Count finished draws."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, draws)

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()


def _duration(seconds: float) -> str:
    """Seconds for people.

    >>> _duration(0.2), _duration(75), _duration(7300)
    ('1 s', '2 min', '2.0 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{-(-seconds // 60):.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
