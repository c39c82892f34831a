"""What users hold in a notebook has a table for polars and for pandas, and shows it."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import spectral_edge as se
from support.language_models import Characters, TinyLM


def recording(folder):
    for step in range(9):
        weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
        save_file({"<b>.attn.weight": weights}, folder / f"c{step}.safetensors")
    return se.Recording.from_checkpoints(folder, window=4)


def test_an_edge_s_table_has_its_spectrum():
    edge = se.spectral_edge(torch.diag(torch.tensor([3.0, 2.0, 1.0])), center=False)
    rows = edge.to_polars().rows(named=True)
    assert [row["singular_value"] for row in rows] == pytest.approx([3, 2, 1])
    assert [row["gap_ratio"] for row in rows] == [pytest.approx(1.5), pytest.approx(2.0), None]
    assert [row["eigengap"] for row in rows] == [pytest.approx(5), pytest.approx(3), None]


def test_a_recording_s_table_has_a_row_a_window(tmp_path):
    table = recording(tmp_path).to_polars()
    assert table["step"].to_list() == [4, 8]
    assert table["sigma_1"].to_list() == pytest.approx(
        [recording(tmp_path).edge(step, center=False).singular_values[0] for step in (4, 8)]
    )


def test_token_modes_have_a_row_a_token_that_counts():
    torch.manual_seed(0)
    model = TinyLM()
    ids = torch.randint(0, 11, (3, 5))
    mask = torch.ones_like(ids)
    mask[1, 3:] = 0
    weights = se.select_parameters(model, "attention")
    modes = se.token_modes(
        model, torch.randn(2, weights.dim), {"input_ids": ids, "attention_mask": mask}, parameters=weights
    )
    table = modes.to_polars()
    assert len(table) == 2 * (4 + 2 + 4)
    for row in table.rows(named=True):
        at = row["direction"] - 1, row["sequence"], row["position"] - 1
        assert row["signed"] == pytest.approx(float(modes.signed[at]))
        assert row["id"] == int(ids[row["sequence"], row["position"]])
        assert row["log_probability"] == pytest.approx(float(modes.log_probability[at[1:]]))
    assert modes.top(tokenizer=Characters()).height > 0


def test_each_is_a_table_for_pandas_and_for_the_eye(tmp_path):
    edge = se.spectral_edge(np.random.default_rng(0).normal(size=(4, 6)))
    profile = se.fourier_profile(np.random.default_rng(0).normal(size=(2, 21)), np.arange(21) % 7, 7)
    for result in (edge, profile, recording(tmp_path)):
        polars = result.to_polars()
        assert result.to_pandas()[polars.columns[0]].tolist() == polars[polars.columns[0]].to_list()
        shown = result._repr_html_()
        assert "<table" in shown
        assert polars.columns[1] in shown
