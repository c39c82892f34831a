"""What the parameters of one training are to be, bit by bit, and how to train it in a process of its own."""

import os
import subprocess
import sys

import pytest

from spectral_edge.arithmetic import portable_settings

CODE = """
import hashlib, torch
torch.set_num_threads(1)
import spectral_edge as se
training = se.Training(se.TrainingConfig(operation="add", seed=42))
for step in range(1, 101):
    training.step()
    if step in (1, 10, 100):
        flat = torch.cat([p.detach().flatten() for p in training.model.parameters()])
        print(step, hashlib.sha256(flat.numpy().tobytes()).hexdigest()[:16])
"""

needs_avx2 = pytest.mark.skipif(not portable_settings(), reason="not a Linux on x86-64 with AVX2 and FMA")


def hashes(**environment):
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return {int(step): digest for step, digest in (line.split() for line in done.stdout.splitlines())}
