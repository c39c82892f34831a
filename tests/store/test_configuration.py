"""Laws: equal configurations have one name and one directory; different ones never share either."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import BaseModel

from spectral_edge.store import ConfigMismatchError, RunDirectory, StoreError, run_id


class Pair(BaseModel):
    b: int = 2
    a: float = 0.5


class Nested(BaseModel):
    pair: Pair = Pair()
    name: str = "x"


def test_run_id_is_the_digest_of_sorted_compact_json() -> None:
    expected = hashlib.sha256(b'{"name":"x","pair":{"a":0.5,"b":2}}').hexdigest()[:10]
    assert run_id(Nested(), "add-s1") == f"add-s1-{expected}"


def test_run_id_changes_with_any_entry() -> None:
    configs = [Nested(), Nested(name="y"), Nested(pair=Pair(b=3)), Nested(pair=Pair(a=0.25))]
    assert len({run_id(config, "add") for config in configs}) == len(configs)


@pytest.mark.parametrize("label", ["", "a/b", "..", ".hidden", "a b", "add\n", "é"])
def test_label_that_cannot_name_a_folder_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="label must be"):
        run_id(Nested(), label)


def test_run_id_refuses_nan() -> None:
    with pytest.raises(StoreError, match="'a' is nan"):
        run_id(Pair(a=float("nan")), "add")


def test_mismatch_names_every_differing_key_with_both_values(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, Nested(), {})
    with pytest.raises(ConfigMismatchError) as caught:
        RunDirectory.create(tmp_path, Nested(pair=Pair(b=3), name="y"), {})
    assert 'name: "x" on disk, "y" given' in str(caught.value)
    assert "pair.b: 2 on disk, 3 given" in str(caught.value)
    assert "pair.a" not in str(caught.value)
    assert RunDirectory.open(tmp_path).config["name"] == "x"


def test_absent_keys_count_as_different(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, Pair(), {})
    with pytest.raises(ConfigMismatchError, match="b: 2 on disk, absent given"):
        RunDirectory.create(tmp_path, Nested(), {})
