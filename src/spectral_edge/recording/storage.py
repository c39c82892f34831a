"""Where the last W updates are kept: in memory, in a file, or as sketches with the updates themselves in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from spectral_edge.parameters import Adapter, Block, ParameterSubset
from spectral_edge.recording.adapters import AdapterWindow
from spectral_edge.recording.files import mapped_tensor
from spectral_edge.recording.parts import PartWindow, UpdatePart, below
from spectral_edge.recording.sources import ParameterUpdates, SketchedUpdates, Source
from spectral_edge.spectrum import CountSketch, InnerProducts, SpectralEdge, UpdateWindow, noise_floor

__all__ = ["KeptUpdates", "Storage", "source_part"]

Storage = Literal["float32", "bfloat16", "disk", "sketch"]


class KeptUpdates:
    """The last W updates of a parameter subset.

    Attributes:
        values: parameters or their masters.
        window: rows and Gram matrix of their updates, or of sketches of them.
        exact: the window of the updates themselves; ``None`` where only sketches are kept.
        deferred: whether flags stay on the device, so that an accelerator never waits for the host; not where rows go
            to host memory.

    Args:
        values: as above.
        window: W.
        storage: where.
        sketch_size: m.
        folder: for files; ``None`` if there is no run directory.
        reads: whether parameters are read; otherwise updates are only put in.
        adapters: whose factors the values are; the window is then that of their products.

    Raises:
        StoreError: there is no room in ``folder``.
    """

    def __init__(
        self,
        values: ParameterSubset,
        window: int,
        storage: Storage,
        sketch_size: int,
        folder: Path | None,
        reads: bool,
        adapters: Sequence[Adapter] = (),
    ) -> None:
        device = next(iter(values.parameters.values())).device
        device = torch.device("cpu") if device.type == "meta" else device
        shards = values.shards if values.sharded else ()
        rows = None
        if folder is not None and storage in ("disk", "sketch"):
            rows = mapped_tensor(folder / "window.bin", (window, values.dim))
        self.values = values
        self.exact: UpdateWindow | None
        self.deferred = device.type != "cpu" and rows is None
        self._folder = folder
        self._sketch = CountSketch(sketch_size, values.shards, device) if storage == "sketch" else None
        self._source: Source | None = None
        self._exact_source: ParameterUpdates | None = None
        self._parts: dict[str, PartWindow] = {}
        if self._sketch is not None:
            self.window = UpdateWindow(window, sketch_size, dtype=torch.float64, device=device)
            self.exact = None if rows is None else UpdateWindow(window, values.dim, rows=rows, shards=shards)
        elif adapters:
            self.window = AdapterWindow(window, adapters, lambda: self.source.anchor, device=device)
            self.exact = None
        else:
            dtype = torch.bfloat16 if storage == "bfloat16" else torch.float32
            self.window = UpdateWindow(window, values.dim, dtype=dtype, device=device, rows=rows, shards=shards)
            self.exact = self.window
        if reads:
            self.read_from(values)

    def keep_part(self, part: PartWindow) -> None:
        """Keep a part of each update, too, from now on."""
        self._parts[part.name] = part

    @property
    def decay(self) -> PartWindow | None:
        """The decay parts of the window's updates, where they are kept."""
        return self._parts.get("decay")

    def read_from(self, values: ParameterSubset) -> None:
        """Read these tensors from now on: the next update begins where they are now."""
        self.values = values
        for part in self._parts.values():
            part.part.read_from(values)
        if self._sketch is None:
            self._source = ParameterUpdates(values)
            return
        self._source = SketchedUpdates(values, self._sketch)
        if self.exact is not None and self._folder is not None:
            self._exact_source = ParameterUpdates(values, self._folder / "anchor.bin")

    @property
    def source(self) -> Source:
        """What reads the parameters.

        Raises:
            ValueError: updates are only put in.
        """
        if self._source is None:
            raise ValueError("Recorder.commit: watch was given no optimizer; call update(delta) with your own updates")
        return self._source

    @property
    def anchor(self) -> Tensor | None:
        """The parameters at the last recorded step, (D,); ``None`` where only sketches are kept."""
        exact = self._source if self._sketch is None else self._exact_source
        return None if exact is None else exact.anchor

    def take(self, step: int, kept: Tensor | None) -> None:
        """Read the update since the last one taken, and drop it where ``kept``, on the device, is false.

        If it is interrupted, the window is empty afterwards: a row might be of two updates.
        """
        try:
            if kept is not None:
                self.window.push_if(kept, self.source.blocks(kept), step)
            else:
                if self.exact is not None and self._exact_source is not None:
                    self.exact.push_row(self._exact_source.write, step)
                self.window.push_row(self.source.write, step)
            for part in self._parts.values():
                part.take(step, kept)
        except BaseException:
            for window in (self.window, self.exact, *(part.window for part in self._parts.values())):
                if window is not None:
                    window.clear()
            raise

    def put(self, vector: Tensor, step: int) -> None:
        """Append an update (D,) that was measured elsewhere."""
        if self._sketch is None:
            self.window.push(vector, step)
            return
        if self.exact is not None:
            self.exact.push(vector, step)
        blocks, column = [], 0
        for number, shard in enumerate(self.values.shards):
            columns = slice(column, column + shard.dim)
            blocks.append(Block(number, 0, columns, vector[columns]))
            column += shard.dim
        self.window.push(self._sketch(blocks), step)

    def edge(
        self, center: bool, of: UpdatePart = "update", source: str | None = None, *, copy: bool = True
    ) -> SpectralEdge:
        """The edge of the window or of a part of it; of sketches, with its noise floor and directions from the file.

        Raises:
            ValueError: the part of each update is not kept, or unknown.
        """
        if source is not None:
            return self._of_source(of, source).window.edge(center)
        if of not in ("update", "decay", "gradient"):
            raise ValueError(f"Recorder.edge: of={of!r} is unknown; choose 'update', 'decay' or 'gradient'")
        if of != "update":
            if self.decay is None:
                raise ValueError(f"Recorder.edge: of={of!r} needs the decay of each step; give watch decay=True")
            return (self.decay.window if of == "decay" else self.decay.taken_from(self.window)).edge(center)
        if self._sketch is None:
            return self.window.edge(center, copy=copy)
        found = self.window.edge(center, copy=False)
        exact = partial(self._exact_edge, center, self.window.moment)
        return found.as_sketch(noise_floor(found, self._sketch.size), exact)

    def part_of_source(self, source: str) -> PartWindow:
        """What is kept of a source of gradients.

        Raises:
            ValueError: it is unknown.
        """
        if (part := self._parts.get(source_part(source))) is None:
            known = [name.removeprefix(source_part("")) for name in self._parts if name != "decay"]
            raise ValueError(
                f"Recorder: source {source!r} is unknown, known are {known}; name the sources of gradients in "
                f"watch(…, sources=({source!r}, …))"
            )
        return part

    def _of_source(self, of: UpdatePart, source: str) -> PartWindow:
        if of != "gradient":
            raise ValueError(f"Recorder.edge: a source has gradients only; ask for of='gradient', not {of!r}")
        return self.part_of_source(source)

    def noise_floor(self, edge: SpectralEdge) -> float | None:
        """Of an edge of the window; ``None`` if it is exact."""
        return None if self._sketch is None else noise_floor(edge, self._sketch.size)

    def _exact_edge(self, center: bool, moment: tuple[int, int]) -> SpectralEdge:
        if self.exact is None:
            raise ValueError(
                "directions: a sketched window keeps no updates, only their spectrum; give watch a run_dir, where they "
                "are kept in a file, or another storage"
            )
        self.window.check_unmoved(moment)
        return self.exact.edge(center)

    def inner_products(self) -> InnerProducts:
        """Of vectors in the layout of the parameters, over all processes."""
        return InnerProducts(self.values.shards if self.values.sharded else ())

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bitwise. What is in a file is not copied: save it before the next step."""
        state = {f"window.{name}": value for name, value in self.window.state_dict().items()}
        if self._source is not None:
            state["anchor"] = self._source.anchor.clone()
        if self._sketch is not None and self.exact is not None:
            state |= {f"exact.{name}": value for name, value in self.exact.state_dict().items()}
            if self._exact_source is not None:
                state["exact_anchor"] = self._exact_source.anchor
        for part in self._parts.values():
            state |= part.state_dict()
        return state

    def can_have(self, state: Mapping[str, Tensor]) -> bool:
        """Whether a state was saved with the same parts of the updates."""
        return all(part.total_name in state for part in self._parts.values())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`state_dict`.

        Raises:
            ValueError: an entry is missing or of another shape or type.
        """
        anchors = {"anchor": self._source, "exact_anchor": self._exact_source}
        for name, source in anchors.items():
            if source is not None:
                given = state.get(name)
                if given is None or (given.shape, given.dtype) != (source.anchor.shape, source.anchor.dtype):
                    raise ValueError(f"Recorder.load_state_dict: {name} is missing or of another shape or type")
        self.window.check_state(below("window.", state))
        for part in self._parts.values():
            part.check_state(state)
        for part in self._parts.values():
            part.load_state_dict(state)
        if self._sketch is not None and self.exact is not None:
            self.exact.load_state_dict(below("exact.", state))
        self.window.load_state_dict(below("window.", state))
        for name, source in anchors.items():
            if source is not None:
                source.anchor.copy_(state[name])


def source_part(source: str) -> str:
    """The name of the part that is a source's gradients."""
    return f"gradient of {source}"
