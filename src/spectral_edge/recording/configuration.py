"""What a recording is of."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["RecordingConfig"]


class RecordingConfig(BaseModel):
    """What a recording is of; a run directory is continued only by a recorder with the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field("recording", pattern="^recording$")
    model: str
    """Class of the watched module."""
    parameters: dict[str, tuple[int, ...]]
    """Shape of each recorded parameter, whole, in layout order."""
    window: int = Field(ge=2)
    every: int | None = Field(ge=1)
    """Training steps an update; ``None`` for checkpoints at uneven steps, whose updates are rates per step."""
    storage: str
    sketch_size: int | None
    keep_updates: bool
    dim: int = Field(ge=0)
    """Entries of a vector in this process."""
    process: int = Field(ge=0)
    """Rank of the process whose shards are in this directory."""
    processes: int = Field(ge=1)
    """Over how many the parameters are sharded."""

    def identity(self, offsets: tuple[tuple[int, ...], ...]) -> int:
        """A number that two recorders share if one can continue from the other's state.

        Args:
            offsets: where the blocks of this process begin in the whole parameters.
        """
        same = self.model_dump(exclude={"model", "keep_updates", "process"}) | {"offsets": offsets}
        return int.from_bytes(hashlib.blake2b(repr(same).encode(), digest_size=7).digest(), "little")
