"""How long a comparison will take, said first, and how far it is; on standard error."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TaskID

__all__ = ["Progress"]


class Progress:
    """Times the tested directions, then counts draws; a bar is shown on a terminal only."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._started = time.perf_counter()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def begin(self, tested: int, responses: int) -> None:
        """Print the expected time of ``responses`` draws, from that of the ``tested`` directions until now."""
        seconds = (time.perf_counter() - self._started) / tested * responses
        self._console.print(
            f"spectral-edge compare: {tested} directions against {responses} random ones, about {_duration(seconds)}"
        )
        if self._console.is_terminal:
            self._bar = Bar(console=self._console, transient=True)
            self._task = self._bar.add_task("draws", total=responses)
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
