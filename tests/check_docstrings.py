"""Examples in the docstrings of modules that need an extra."""

import doctest
import importlib

import pytest

from support.extras import OF_EXTRAS


@pytest.mark.parametrize("name", OF_EXTRAS)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"spectral_edge.{name}"), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
