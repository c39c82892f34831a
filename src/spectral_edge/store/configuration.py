"""What a run is: the configuration that decides its numbers, its name, and whether two are the same."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from pydantic import BaseModel, JsonValue

from spectral_edge.store.errors import ConfigMismatchError
from spectral_edge.store.strict_json import encode_json

__all__ = ["check_same_config", "plain_config", "run_id"]


def run_id(config: BaseModel, label: str) -> str:
    """Name a run by what it computes: ``<label>-<10 hex digits of SHA-256 of the canonical JSON of config>``.

    Equal configurations get equal names on every machine; a time never enters.

    Args:
        config: everything that decides the run's numbers, its seed included.
        label: what a person should read first, such as ``"add-s42"``: letters, digits, ``. _ + -``.

    Returns:
        The name, fit for a folder.

    Raises:
        ValueError: ``label`` has another character, is empty, or starts with a dot.
        StoreError: ``config`` holds what JSON cannot, such as NaN.

    Example:
        >>> class Config(BaseModel):
        ...     p: int = 97
        ...     seed: int = 42
        >>> run_id(Config(), "add-s42")
        'add-s42-71893122a6'
    """
    if not re.fullmatch(r"[\w+-][\w.+-]*", label, re.ASCII):
        raise ValueError(f"label must be letters, digits and . _ + - to name a folder, got {label!r}")
    stored = plain_config(config, Path(label))
    canonical = json.dumps(stored, sort_keys=True, separators=(",", ":"))
    return f"{label}-{hashlib.sha256(canonical.encode()).hexdigest()[:10]}"


def plain_config(config: BaseModel, path: Path) -> dict[str, JsonValue]:
    """Turn ``config`` into the JSON it reads back as from disk, so that stored and given compare equal.

    Raises:
        StoreError: it holds what JSON cannot, such as NaN; the message names ``path`` and the entry.
    """
    plain: dict[str, JsonValue] = json.loads(encode_json(config.model_dump(mode="json"), path))
    return plain


def check_same_config(path: Path, stored: dict[str, JsonValue], given: dict[str, JsonValue]) -> None:
    """Refuse to continue a run under another configuration.

    Raises:
        ConfigMismatchError: the two differ; the message names each differing key with both values.
    """
    before, now = _flat(stored), _flat(given)
    keys = [key for key in sorted(before | now) if before.get(key, "absent") != now.get(key, "absent")]
    if keys:
        shown = ", ".join(f"{key}: {before.get(key, 'absent')} on disk, {now.get(key, 'absent')} given" for key in keys)
        raise ConfigMismatchError(
            f"{path}: holds a run with another configuration ({shown}). Choose another output path, or delete this one."
        )


def _flat(value: JsonValue, key: str = "") -> dict[str, str]:
    """Nested entries under dotted keys, each as its JSON text, so that 1, 1.0 and true differ."""
    if isinstance(value, dict) and value:
        return {k: v for name, entry in value.items() for k, v in _flat(entry, f"{key}.{name}".lstrip(".")).items()}
    return {key: json.dumps(value)}
