"""The API reference, written from ``__all__``: a page for each room, and one for the names of the package itself."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from pydantic import BaseModel
from sphinx.application import Sphinx

import spectral_edge as se

ROOMS = (
    "parameters", "spectrum", "bases", "statistics", "discovery", "modes", "representation", "grokking", "store",
    "recording", "comparison", "language", "intervention", "engines", "subjects", "replication", "replication.sweep",
    "report", "serve", "cli",
)  # fmt: skip
"""In the order of the design: a line imports from those before it."""

_FURTHER = {
    "grokking": ("grokking.stack.ModelStack",),
    "recording": (
        "recording.storage.KeptUpdates", "recording.cost.Cost", "recording.layout.LayoutGuard",
        "recording.live.LiveSpectrum", "recording.agreement.Agreement", "recording.kept_modes.ModeKeeper",
        "recording.window_log.WindowLog", "recording.monitor.Monitor", "recording.archive.Archive",
        "recording.configuration.RecordingConfig",
    ),
    "serve": ("serve.security.Guard",),
    "report": (
        "report.tables.Column", "report.sections.HeadlineRow", "report.lines.Line", "experiments.point.Point",
        "experiments.discovery.picture.Picture", "experiments.early_warning.traces.Trace",
        "experiments.early_warning.traces.Curve",
    ),
}  # fmt: skip
"""Classes that are not public and stand in signatures of what is."""

_BARS = re.compile(r"``.*?``|\|")
_ROLE = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write ``api/`` when a build begins."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "api"))
    app.connect("autodoc-process-docstring", _as_markup, priority=100)  # before napoleon reads it
    app.connect("autodoc-process-signature", _without_fields)
    app.connect("autodoc-skip-member", _is_no_member)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(folder: Path) -> None:
    """Write ``index.md`` and one page a room; pages that would not change are left alone."""
    folder.mkdir(exist_ok=True)
    pages = {room: _room(room) for room in ROOMS} | {"index": _index()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _as_markup(app: Sphinx, what: str, name: str, object_: object, options: object, lines: list[str]) -> None:
    """Let ``|x|`` mean a norm, and a colon in the first line of an attribute's text end no type."""
    lines[:] = [line if line.lstrip().startswith((">>>", "...")) else _BARS.sub(_escaped, line) for line in lines]
    if what in ("attribute", "property", "data"):
        lines.insert(0, "\\ ")


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("``") else r"\|"


def _without_fields(
    app: Sphinx, what: str, name: str, object_: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """A configuration's fields stand below it, one by one, with what they mean: not in its signature, too."""
    return ("", "") if inspect.isclass(object_) and issubclass(object_, BaseModel) else None


def _is_no_member(app: Sphinx, what: str, name: str, object_: object, skip: bool, options: object) -> bool | None:
    """Leave out fields that stand in the text of their class: of named tuples, and those whose value is a function."""
    is_field = type(object_).__name__ == "_tuplegetter" or getattr(object_, "__name__", name) != name
    return True if what == "class" and is_field else None


def public_names() -> list[str]:
    """The names of the package's ``__all__`` that are no rooms."""
    return [name for name in se.__all__ if not inspect.ismodule(getattr(se, name))]


def _room(room: str) -> str:
    module = importlib.import_module(f"spectral_edge.{room}")
    elsewhere = [
        name for name in module.__all__ if _home(getattr(module, name), name) != f"spectral_edge.{room}.{name}"
    ]
    options = f"   :members:\n   :imported-members:\n   :exclude-members: {', '.join(elsewhere)}\n"
    further = "".join(f"\n.. autoclass:: spectral_edge.{name}\n" for name in _FURTHER.get(room, ()))
    return f"# {room}\n\n```{{eval-rst}}\n.. automodule:: {module.__name__}\n{options}{further}```\n"


def _index() -> str:
    rows = "".join(f"| {{py:obj}}`~{_home(getattr(se, name), name)}` | {_summary(name)} |\n" for name in public_names())
    return (
        "# API reference\n\n"
        "`import spectral_edge as se` gives the names below; each lives in a room, which has a page of its own.\n\n"
        f"| `se.` | what it is |\n| --- | --- |\n{rows}\n"
        "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(ROOMS) + "\n```\n"
    )


def _home(found: object, name: str) -> str:
    """Where a public name is documented: in the first room whose ``__all__`` has it."""
    for room in ROOMS:
        module = importlib.import_module(f"spectral_edge.{room}")
        if name in module.__all__ and getattr(module, name) is found:
            return f"spectral_edge.{room}.{name}"
    raise LookupError(f"{name} is public and in the __all__ of no room")


def _summary(name: str) -> str:
    text = inspect.getdoc(getattr(se, name)) or ""
    words = " ".join(text.split("\n\n")[0].split())
    return _ROLE.sub(r"`\1`", words).replace("|", "\\|")
