"""FSDP1 in a process group of its own."""

import os
import subprocess
import sys

FSDP1 = """
import os, torch, spectral_edge as se
from torch.distributed.fsdp import FullyShardedDataParallel
torch.distributed.init_process_group("gloo", init_method="file://" + os.environ["STORE"], rank=0, world_size=1)
model = FullyShardedDataParallel(torch.nn.Linear(4, 3), device_id=torch.device("cpu"))
try:
    se.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), parameters=".")
except ValueError as problem:
    print(problem)
"""


def test_fsdp1_is_refused_by_name(tmp_path):
    environment = os.environ | {"STORE": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-c", FSDP1], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "FSDP1 (FullyShardedDataParallel) keeps parameters in partitions" in done.stdout, done.stderr
    assert "recorder.update(delta)" in done.stdout
