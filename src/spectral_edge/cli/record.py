"""``spectral-edge record``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from spectral_edge.cli.output import Output, integers, listed
from spectral_edge.recording import Recording

__all__ = ["Record"]


@dataclass(frozen=True)
class Record:
    """Make a recording of checkpoints that a training has left, and print its spectrum.

    Only safetensors is read, a piece at a time. With --out the spectra are kept, for `report` and `serve`.

    Example:  spectral-edge record trainer/checkpoint-* --out runs/recording
    """

    checkpoints: tyro.conf.Positional[tuple[str, ...]]
    """Folders or .safetensors files, one a checkpoint; one folder that holds them; or, with --revisions, a repository
    of the Hugging Face hub."""
    out: Path | None = None
    """Where to keep the recording."""
    parameters: str = "attention"
    """"attention", or a regular expression that is searched in the names of parameters."""
    window: int | None = None
    """Updates in a window; by default 20, or all if there are fewer."""
    steps: str = ""
    """Training step of each checkpoint, separated by commas; by default the last number in its name."""
    revisions: str = ""
    """Revisions of the repository, separated by commas."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)

    def run(self) -> None:
        """Read, print, keep."""
        recording = Recording.from_checkpoints(
            self.checkpoints[0] if len(self.checkpoints) == 1 else list(self.checkpoints),
            self.parameters,
            steps=integers("--steps", self.steps) or None,
            revisions=listed(self.revisions) or None,
            window=self.window,
        )
        values = recording.values
        lines = [repr(recording), *map(_line, values)]
        if self.out is not None:
            lines.append(str(recording.save(self.out)))
        shown = [{name: value for name, value in line.items() if name != "gram_matrix"} for line in values]
        self.output.result({"recording": repr(recording), "windows": shown}, "\n".join(lines))


def _line(values: dict[str, Any]) -> str:
    ratio = values["gap_ratios"][0]
    shown = "—" if ratio is None else f"{ratio:.2f}"
    turned = values["rotation_degrees"]
    turn = "" if turned is None else f"  v₁ turned by {turned:.0f}°"
    return (
        f"steps {values['first_step']:>7} to {values['step']:>7}  σ₁ {values['singular_values'][0]:.4g}  "
        f"σ₁/σ₂ {shown}  k* {values['position']}{turn}"
    )
