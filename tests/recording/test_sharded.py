"""Real process groups over gloo: what is recorded of shards is what one process would record of the whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recording.sharded_scenarios import OF_FOUR, SCENARIOS

SCRIPT = Path(__file__).with_name("sharded_scenarios.py")


@pytest.fixture(scope="module", params=[2, 3, 4])
def outcomes(request, tmp_path_factory):
    """Scenario -> what each of 2, 3 or 4 processes found, all scenarios in one group of processes."""
    size, folder = request.param, tmp_path_factory.mktemp("group")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(rank), str(size), folder],
            env=environment,
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
    scenarios = OF_FOUR if size == 4 else SCENARIOS
    found = {scenario.__name__: ["did not run; " + text[-2000:] for text in said] for scenario in scenarios}
    for rank in range(size):
        log = folder / f"{rank}.jsonl"
        for line in log.read_text().splitlines() if log.exists() else []:
            name, outcome = json.loads(line)
            found[name][rank] = outcome
    return found


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_every_process_agrees(outcomes, scenario):
    if scenario not in outcomes:
        pytest.skip("four processes run only what needs them")
    assert outcomes[scenario] == ["passed"] * len(outcomes[scenario]), "\n".join(outcomes[scenario])
