"""What every subcommand prints: a JSON object for programs, or lines for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["Output"]


@dataclass(frozen=True)
class Output:
    """How to speak."""

    json: bool = False
    """Print the result as one JSON object on standard output, and nothing else there."""
    quiet: bool = False
    """Print no progress."""

    def result(self, values: dict[str, Any], text: str) -> None:
        """Print the result, as JSON or as text."""
        print(json.dumps(values, allow_nan=False) if self.json else text)

    def say(self, text: str) -> None:
        """Print a line of progress, unless it would disturb."""
        if not (self.quiet or self.json):
            print(text, flush=True)
