"""What subcommands have in common: lists on the command line, and a JSON object or lines as the answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["Output", "integers", "listed"]


@dataclass(frozen=True)
class Output:
    """How to speak."""

    json: bool = False
    """Print the result as one JSON object on standard output, and nothing else there."""
    quiet: bool = False
    """Print no progress."""

    def result(self, values: dict[str, Any], text: str) -> None:
        """Print the result, as JSON or as text."""
        print(json.dumps(values, allow_nan=False) if self.json else text, flush=True)

    def say(self, text: str) -> None:
        """Print a line of progress, unless it would disturb."""
        if not (self.quiet or self.json):
            print(text, flush=True)


def listed(text: str) -> tuple[str, ...]:
    """Words separated by commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def integers(option: str, text: str) -> tuple[int, ...]:
    """Integers separated by commas.

    Raises:
        ValueError: one is none; names the option.
    """
    words = listed(text)
    wrong = [word for word in words if not word.removeprefix("-").isdecimal()]
    if wrong:
        raise ValueError(f"{option}: {wrong[0]!r} is not an integer; give them as 42,137,2024")
    return tuple(map(int, words))
