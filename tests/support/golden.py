"""Rows of a claims table held against rows that were kept before the code was changed.

``python -m support.golden keep CLAIMS.json GOLDEN.json.gz`` keeps them; ``compare`` prints what differs.
"""

import gzip
import json
import math
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


def keep(rows, path):
    """Write rows as compressed JSON; equal rows give equal bytes."""
    text = "\n".join(json.dumps(row, sort_keys=True) for row in rows)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def kept(path):
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def differences(rows, golden, tolerance=1e-6):
    """What differs: rows that are missing or new, and numbers that are off by more than the tolerance."""
    found = []
    ours, theirs = _by_identity(rows), _by_identity(golden)
    found += [f"missing: {key}" for key in theirs if key not in ours]
    found += [f"new: {key}" for key in ours if key not in theirs]
    for key in ours.keys() & theirs.keys():
        found += [f"{key}: {what}" for what in _unequal(ours[key], theirs[key], tolerance)]
    return sorted(found)


def _by_identity(rows):
    """Rows by what they measure; of several that measure the same, by their order."""
    found = {}
    for row in rows:
        key = _identity(row)
        number = sum(1 for other in found if other[0] == key)
        found[key, number] = row
    return found


def _identity(row):
    plain = {
        k: v for k, v in row.items() if isinstance(v, str | int) or v is None or k in ("seeds", "relative_epsilon")
    }
    return json.dumps({k: v for k, v in plain.items() if k not in ("peak", "measured", "published")}, sort_keys=True)


def _unequal(ours, theirs, tolerance, place=""):
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in ours.keys() | theirs.keys():
            yield from _unequal(ours.get(key), theirs.get(key), tolerance, f"{place}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(ours) == len(theirs):
        for i, (left, right) in enumerate(zip(ours, theirs, strict=True)):
            yield from _unequal(left, right, tolerance, f"{place}[{i}]")
    elif isinstance(theirs, float) and isinstance(ours, float | int):
        if not math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance):
            yield f"{place} {ours} in place of {theirs}"
    elif ours != theirs:
        yield f"{place} {ours} in place of {theirs}"


def main():
    command, claims, golden = sys.argv[1], *map(Path, sys.argv[2:4])
    rows = json.loads(claims.read_text())["rows"]
    if command == "keep":
        keep(rows, golden)
        return
    found = differences(rows, kept(golden))
    print("\n".join(found) or f"{len(rows)} rows are the same")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
