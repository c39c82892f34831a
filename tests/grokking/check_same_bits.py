"""Which settings the bits of a training depend on, and which not."""

import pytest

from spectral_edge.arithmetic import portable_settings
from spectral_edge.subjects.self_test import REFERENCE_BITS
from support.same_bits import hashes, needs_avx2


@needs_avx2
@pytest.mark.parametrize("mkl", ["COMPATIBLE", "AVX2"])
def test_no_step_depends_on_the_code_that_mkl_chooses(mkl):
    """MKL follows its setting on some processors only, so what a step computes must not go through it."""
    assert hashes(MKL_CBWR=mkl, OPENBLAS_NUM_THREADS="2", **portable_settings()) == REFERENCE_BITS


@needs_avx2
def test_the_hash_sees_another_order_of_sums():
    assert hashes(**portable_settings() | {"ATEN_CPU_CAPABILITY": "default"})[100] != REFERENCE_BITS[100]
