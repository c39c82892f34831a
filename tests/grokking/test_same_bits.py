"""The bits of a training are those of every x86-64 processor with AVX2, whoever made it."""

import hashlib
import os

import pytest
import torch

import spectral_edge as se
from spectral_edge import arithmetic
from spectral_edge.arithmetic import portable_settings, use_portable_arithmetic
from spectral_edge.subjects.self_test import REFERENCE_BITS
from support.same_bits import hashes, needs_avx2


@needs_avx2
def test_a_hundred_steps_have_the_bits_of_every_processor():
    assert hashes(**portable_settings()) == REFERENCE_BITS


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
