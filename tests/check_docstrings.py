"""Examples in the docstrings of modules that need an extra."""

import doctest
import importlib

import pytest

from support.extras import OF_EXTRAS


@pytest.mark.parametrize("name", OF_EXTRAS)
def test_examples_in_docstrings(name):
    room = "spectral_edge.studies" if name.startswith("engines") else "spectral_edge"
    result = doctest.testmod(importlib.import_module(f"{room}.{name}"), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
