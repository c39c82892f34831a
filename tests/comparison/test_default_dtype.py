"""PyTorch's default type is the user's: directions are float32 under any, and the same."""

import pytest
import torch

import spectral_edge as se
from support.linear_models import DIM, INS, gaussian, linear_model

UPDATES, INPUTS = gaussian(6, DIM, seed=2), gaussian(12, INS)
MODEL, PARAMETERS = linear_model()
NULLS = ("isotropic", "span", "weights", "blocks")


@pytest.fixture
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def found():
    edge = se.spectral_edge(UPDATES)
    drawn = {
        null: torch.cat(
            list(se.iterate_random_directions(3, PARAMETERS, null, edge=edge, direction=UPDATES[0], seed=1))
        )
        for null in NULLS
    }
    result = se.compare(
        MODEL, edge, INPUTS, lambda h: float(h.double().square().sum()), parameters=PARAMETERS, draws=4,
        quiet=True,
    )  # fmt: skip
    moved = se.intervene(MODEL, edge, lambda m: {"size": m.weight.sum().item()}, parameters=PARAMETERS, draws=2)
    change = se.explained_change(MODEL, edge, INPUTS, forward=lambda m, x: m(x), parameters=PARAMETERS, k=1, draws=2)
    return drawn, result.table, moved.table, change.table


EXPECTED = found()


def test_everything_is_the_same_in_a_process_of_doubles(in_double):
    drawn, *tables = found()
    for null, rows in drawn.items():
        assert rows.dtype == torch.float32
        assert torch.equal(rows, EXPECTED[0][null])
    for table, expected in zip(tables, EXPECTED[1:], strict=True):
        assert table.equals(expected)
