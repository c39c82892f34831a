"""Real process groups over gloo: what is recorded of shards is what one process would record of the whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.sharded_scenarios import OF_FOUR, SCENARIOS

TESTS = Path(__file__).parents[1]
CASES = [(size, scenario) for size in (2, 3) for scenario in SCENARIOS] + [(4, scenario) for scenario in OF_FOUR]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """(size, scenario) -> what each process found; all scenarios of a size run in one group of processes."""
    found = {}

    def of(size, scenario):
        if size not in found:
            found[size] = run_group(size, tmp_path_factory.mktemp(f"group_of_{size}"))
        return found[size][scenario]

    return of


def run_group(size, folder):
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "support.sharded_scenarios", str(rank), str(size), folder],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        said = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    names = [scenario.__name__ for scenario in (OF_FOUR if size == 4 else SCENARIOS)]
    found = {name: ["did not run; " + text[-2000:] for text in said] for name in names}
    for rank in range(size):
        log = folder / f"{rank}.jsonl"
        for line in log.read_text().splitlines() if log.exists() else []:
            name, outcome = json.loads(line)
            found[name][rank] = outcome
    return found


@pytest.mark.parametrize(("size", "scenario"), [(size, scenario.__name__) for size, scenario in CASES])
def test_every_process_agrees(outcomes, size, scenario):
    found = outcomes(size, scenario)
    assert found == ["passed"] * size, "\n".join(found)
