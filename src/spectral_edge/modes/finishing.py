"""Putting things back, to the end, whatever comes in between."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["finish"]


def finish(put_back: Callable[[], object]) -> None:
    """Call ``put_back`` until it has run through; a Ctrl-C on the way starts it again and is raised afterwards.

    Args:
        put_back: gives the same result however often it is begun, such as copying stored weights.

    Raises:
        KeyboardInterrupt: if there was one.
    """
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            put_back()
            break
        except KeyboardInterrupt as stop:
            interrupted = stop
    if interrupted is not None:
        raise interrupted
