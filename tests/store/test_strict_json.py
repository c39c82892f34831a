"""Laws: what is written reads back equal; what JSON cannot hold is refused by name, both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectral_edge.store.errors import RunCorruptError, StoreError
from spectral_edge.store.strict_json import decode_json, encode_json

PLACE = Path("metrics.jsonl")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(VALUES.filter(lambda value: "\\ud" not in ascii(value)))
def test_what_is_written_reads_back_equal(value: object) -> None:
    encoded = encode_json(value, PLACE)
    assert decode_json(encoded, "x") == value
    assert b"\n" not in encoded


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"loss": float("nan")}, "'loss' is nan"),
        ({"a": [0.0, {"b": -np.inf}]}, "'a.1.b' is -inf"),
        ({"loss": torch.ones(2)}, "'loss' is a Tensor"),
        ({"step": np.int64(3)}, "'step' is a int64"),
        ({"name": "\ud800"}, "cannot be written"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(value: object, problem: str) -> None:
    with pytest.raises(StoreError, match=f"metrics.jsonl: .*{problem}"):
        encode_json(value, PLACE)


@pytest.mark.parametrize("text", [b"NaN", b"[-Infinity]", b"1e999", b"\xff\xfe1\0", b"", b"[" * 100_000, b"{1: 2}"])
def test_what_is_not_strict_json_is_refused_with_its_place(text: bytes) -> None:
    with pytest.raises(RunCorruptError, match="file:7: not valid JSON"):
        decode_json(text, "file:7")
