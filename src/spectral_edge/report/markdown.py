"""Text and tables as Markdown in which nothing of the text can act as markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["code", "escape", "table"]

# An underscore within a word is plain text; "<" opens a tag only before a letter, a slash, "!" or "?".
_ACTIVE = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])|&(?=#|\w+;)")
_AT_START = re.compile(r"^(#|>|[-+=]|\d+[.)])")


def escape(text: str) -> str:
    """Return ``text`` on one line, shown as it is.

    Example:
        >>> escape("a|b <b>bold</b> x2_y2 *p* < 0.05")
        'a\\\\|b \\\\<b>bold\\\\</b> x2_y2 \\\\*p\\\\* < 0.05'
    """
    one_line = " ".join(text.split())
    return _AT_START.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", _ACTIVE.sub(r"\\\g<0>", one_line))


def code(text: str) -> str:
    """Return ``text`` as a code span, with a fence longer than any run of backticks in it."""
    one_line = " ".join(text.split()).replace("|", "¦")
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", one_line)), default=0))
    gap = " " if "`" in one_line else ""
    return f"{fence}{gap}{one_line}{gap}{fence}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
