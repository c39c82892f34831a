import doctest
import importlib
import pkgutil

import pytest

import spectral_edge
from support.extras import OF_EXTRAS

MODULES = ["spectral_edge"] + [
    m.name
    for m in pkgutil.walk_packages(spectral_edge.__path__, "spectral_edge.")
    if not m.name.endswith(("__main__", *OF_EXTRAS))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_every_room_has_examples():
    found = {
        name.split(".")[1]
        for name in MODULES[1:]
        if any(case.examples for case in doctest.DocTestFinder().find(importlib.import_module(name)))
    }
    assert found >= {
        "bases",
        "statistics",
        "spectrum",
        "modes",
        "grokking",
        "recording",
        "representation",
        "store",
        "parameters",
    }
