"""The bits of a training are those of every x86-64 processor with AVX2, whoever made it."""

import hashlib
import os
import subprocess
import sys

import pytest
import torch

import spectral_edge as se
from spectral_edge import arithmetic
from spectral_edge.arithmetic import portable_settings, use_portable_arithmetic

# SHA-256 of the flat float32 parameters of addition, seed 42, by step: computed on an AMD EPYC (Zen 3) and, up to step
# 10, by an emulated Intel Haswell (`qemu-x86_64 -cpu Haswell`), which gives the bits of a real Emerald Rapids with
# 256-bit registers. They belong to the torch and numpy of requirements.txt.
EXPECTED = {1: "847edb36edc7f464", 10: "ed00171fbe6169b6", 100: "6f26fd9f5aa7df66"}
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


@needs_avx2
def test_a_hundred_steps_have_the_bits_of_every_processor():
    assert hashes(**portable_settings()) == EXPECTED


@needs_avx2
@pytest.mark.parametrize("mkl", ["COMPATIBLE", "AVX2"])
def test_no_step_depends_on_the_code_that_mkl_chooses(mkl):
    """MKL follows its setting on some processors only, so what a step computes must not go through it."""
    assert hashes(MKL_CBWR=mkl, OPENBLAS_NUM_THREADS="2", **portable_settings()) == EXPECTED


@needs_avx2
def test_the_hash_sees_another_order_of_sums():
    assert hashes(**portable_settings() | {"ATEN_CPU_CAPABILITY": "default"})[100] != EXPECTED[100]


def test_threads_of_numpy_do_not_change_a_step():
    """The product of a sum over 1024 is split among threads of OpenBLAS, which has other last bits."""
    digest = []
    for threads in (1, 2):
        with blas_threads(threads):
            training = se.Training(se.TrainingConfig(operation="add", seed=1))
            for _ in range(3):
                training.step()
        digest.append(hashlib.sha256(training.model.head.weight.detach().numpy().tobytes()).hexdigest())
    assert digest[0] == digest[1]


def blas_threads(threads):
    from threadpoolctl import threadpool_limits

    assert torch.get_num_threads() == 1
    return threadpool_limits(threads, user_api="blas")


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [("x86_64", "fpu avx2 fma", 3), ("x86_64", "fpu avx2", 0), ("x86_64", "fpu", 0), ("aarch64", "avx2 fma", 0)],
)
def test_settings_are_made_only_where_they_can_be_followed(monkeypatch, tmp_path, machine, flags, expected):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(arithmetic, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(arithmetic.platform, "machine", lambda: machine)
    assert len(portable_settings()) == expected


@needs_avx2
def test_a_setting_of_the_users_own_stays(monkeypatch):
    for name in portable_settings():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    use_portable_arithmetic()
    assert os.environ["OPENBLAS_CORETYPE"] == "Zen"
    assert os.environ["ATEN_CPU_CAPABILITY"] == "avx2"
    for name in portable_settings():  # monkeypatch puts back only what it has changed
        monkeypatch.setenv(name, os.environ[name])
