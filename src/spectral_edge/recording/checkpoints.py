"""Checkpoints that other programs have written: where they are, of which step, and their numbers, a piece at a time."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spectral_edge.store import RunCorruptError, RunMissingError, StoreError, decode_json, read_file

__all__ = ["StoredCheckpoint", "check_steps", "find_checkpoints"]

logger = logging.getLogger("spectral_edge")

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_INDEX = ".safetensors.index.json"
_WANTED = ("*.safetensors", "*.json")


@dataclass(frozen=True)
class StoredCheckpoint:
    """One checkpoint in safetensors files, of which nothing is held in memory.

    Attributes:
        step: training step.
        place: the folder or file.
        files: tensor name -> the file that has it.
        shapes: tensor name -> its shape.
    """

    step: int
    place: Path
    files: Mapping[str, Path] = field(repr=False)
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False)

    def read(self, pieces: Sequence[tuple[str, int, int]]) -> Tensor:
        """Entries ``start`` to ``stop - 1`` of each named tensor, row-major, one after the other, in float64.

        Raises:
            StoreError: a file is damaged or gone.
        """
        found = []
        for path, of_file in groupby(pieces, key=lambda piece: self.files[piece[0]]):
            with _opened(path) as file:
                found += [_entries(file, name, self.shapes[name], start, stop) for name, start, stop in of_file]
        return torch.cat(found)

    def read_whole(self, name: str) -> Tensor:
        """One tensor.

        Raises:
            StoreError: its file is damaged or gone.
        """
        with _opened(self.files[name]) as file:
            return file.get_tensor(name)


def check_steps(checkpoints: Sequence[StoredCheckpoint]) -> bool:
    """Whether checkpoints are unevenly many training steps apart, so that updates are rates; says so in the log."""
    strides = {after.step - before.step for before, after in pairwise(checkpoints)}
    if len(strides) > 1:
        logger.warning(
            "spectral-edge: checkpoints are %d to %d training steps apart; each update is divided by the steps that it "
            "took, so that windows hold rates",
            min(strides),
            max(strides),
        )
    return len(strides) > 1


def _entries(file: safe_open, name: str, shape: tuple[int, ...], start: int, stop: int) -> Tensor:
    if not shape:
        return file.get_tensor(name).reshape(1).double()
    width = max(1, torch.Size(shape[1:]).numel())
    first, last = start // width, -(-stop // width)
    rows = file.get_slice(name)[first:last].reshape(-1)
    return rows[start - first * width : stop - first * width].double()


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as cause:
        raise RunCorruptError(
            f"{path}: cannot be read as safetensors ({cause}). Restore it from a copy, or leave this checkpoint out."
        ) from cause


def find_checkpoints(
    given: str | Path | Sequence[str | Path], steps: Sequence[int] | None, revisions: Sequence[str] | None
) -> list[StoredCheckpoint]:
    """Resolve folders, files, or a repository with revisions, in the order of their steps; reads headers only.

    Args:
        given: folders or ``.safetensors`` files, one a checkpoint; or one folder that holds them all; or, with
            ``revisions``, a repository of the Hugging Face hub.
        steps: training step of each; read from the last number in each name if left out.
        revisions: of the repository, one a checkpoint.

    Raises:
        StoreError: a place holds no safetensors, a pickle, or a damaged file.
        ValueError: fewer than three checkpoints, one that is given twice, or steps that are unknown or not different.
    """
    if revisions is not None:
        if not isinstance(given, str):
            raise ValueError(f"revisions: they are of one repository, named by a string; {type(given).__name__} given")
        names, places = list(revisions), [_downloaded(given, revision) for revision in revisions]
    else:
        places = _inside(Path(given)) if isinstance(given, str | Path) else [Path(one) for one in given]
        names = [path.name for path in places]
    if repeated := [str(place) for place in places if places.count(place) > 1]:
        raise ValueError(f"checkpoints: {repeated[0]} is given {places.count(Path(repeated[0]))} times; give it once")
    if len(names) < 3:
        raise ValueError(f"checkpoints: {len(names)} given; a spectrum needs at least 3, which make 2 updates")
    numbers = [_step_in(name) for name in names] if steps is None else list(steps)
    if len(numbers) != len(names):
        raise ValueError(f"steps: {len(numbers)} numbers for {len(names)} checkpoints; one is needed for each")
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        both = [name for name, number in zip(names, numbers, strict=True) if number == twice]
        raise ValueError(f"checkpoints {' and '.join(both)} both have step {twice}; pass steps=[…], one for each")
    found = [_checkpoint(step, path) for step, path in zip(numbers, places, strict=True)]
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def _inside(folder: Path) -> list[Path]:
    """What of a folder can be a checkpoint: folders, or files, whose names have a number."""
    if not folder.is_dir():
        raise RunMissingError(
            f"{folder}: there is no such folder. Pass a folder that holds checkpoints, a list of them, or the name of "
            "a repository with revisions=[…]."
        )
    entries = [path for path in sorted(folder.iterdir()) if re.search(r"\d", path.name)]
    folders = [path for path in entries if path.is_dir()]
    return folders or [path for path in entries if path.suffix == ".safetensors"]


def _step_in(name: str) -> int:
    numbers = re.findall(r"\d+", name.removesuffix(".safetensors"))
    if not numbers:
        raise ValueError(f"checkpoint {name!r}: its name has no number to be the training step; pass steps=[…]")
    return int(numbers[-1])


def _downloaded(repository: str, revision: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise ImportError("checkpoints of a repository need huggingface_hub: pip install 'spectral-edge[hf]'") from None
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(_WANTED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as cause:
        reason = str(cause).strip().splitlines()[0]
        raise RunMissingError(
            f"{repository}, revision {revision!r}: cannot be downloaded ({reason}). Check the names, and that the hub "
            "can be reached."
        ) from cause


def _checkpoint(step: int, place: Path) -> StoredCheckpoint:
    files: dict[str, Path] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    promised = _indexed(place)
    for path in sorted(set(promised.values())) or _safetensors_of(place):
        with _opened(path) as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                if promised.get(name, path) != path:
                    continue
                if name in files:
                    raise RunCorruptError(
                        f"{place}: {name!r} is in {files[name].name} and in {path.name}. Pass one file."
                    )
                files[name] = path
                shapes[name] = tuple(file.get_slice(name).get_shape())
    if lacking := sorted(set(promised) - set(files)):  # published ones have been seen
        logger.warning(
            "spectral-edge: %s: its files lack %d of the tensors in its index, such as %r in %s; they are left out",
            place,
            len(lacking),
            lacking[0],
            promised[lacking[0]].name,
        )
    return StoredCheckpoint(step, place, files, shapes)


def _safetensors_of(place: Path) -> list[Path]:
    """The files of a checkpoint that has no index."""
    if place.is_file() and place.suffix == ".safetensors":
        return [place]
    if not place.exists():
        raise RunMissingError(f"{place}: there is no checkpoint here. Check the path.")
    pickled = [place] if place.is_file() else sorted(p for p in place.iterdir() if p.suffix in _PICKLED)
    found = [] if place.is_file() else sorted(place.glob("*.safetensors"))
    if found:
        return found
    if pickled:
        raise StoreError(
            f"{pickled[0]}: only safetensors is read, as a pickle can run any code. Convert it with what wrote it, "
            "e.g. model.save_pretrained(folder), or safetensors.torch.save_file(model.state_dict(), path)."
        )
    raise RunMissingError(f"{place}: holds no .safetensors file. Check the path.")


def _indexed(place: Path) -> dict[str, Path]:
    """The file of each tensor by the index of a checkpoint, which must lie beside it; nothing if there is no index."""
    index = next(iter(sorted(place.glob(f"*{_INDEX}"))), None) if place.is_dir() else None
    if index is None:
        return {}
    content = decode_json(read_file(index), str(index))
    files = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not files:
        raise RunCorruptError(f"{index}: has no weight_map. Restore it from a copy.")
    for file in sorted(set(map(str, files.values()))):
        if Path(file).name != file:
            raise RunCorruptError(f"{index}: names {file!r}, which does not lie beside it.")
        if not (place / file).is_file():
            raise RunMissingError(f"{place / file}: is missing, and {index.name} names it.")
    return {name: place / str(file) for name, file in files.items()}
