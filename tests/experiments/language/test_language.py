"""The evidence on a language model: text, plants and their marks, the model, the rule of finding."""

import numpy as np
import polars
import pytest
import torch

from spectral_edge.experiments.language import plant_summary
from spectral_edge.experiments.language.corpus import code, encoded, probe, prose, sample
from spectral_edge.experiments.language.features import GENERAL, general_features
from spectral_edge.experiments.language.model import CharacterModel
from spectral_edge.experiments.language.plants import PLANTS, unchanged


def test_held_out_documents_are_no_training_documents():
    for corpus in (prose(), code()):
        assert not set(corpus.train) & set(corpus.held_out)
        assert len(corpus.train) > len(corpus.held_out) > 10
        assert max(max(map(ord, text)) for text in corpus.held_out) < 128


def test_what_is_planted_is_marked_and_nothing_else():
    generator = np.random.default_rng(0)
    spelling, rule, register = (PLANTS[name] for name in ("spelling", "rule", "register"))
    passage = spelling.rewrite("the other theme of the list", generator)
    assert passage == "teh other theme of teh list"
    assert "".join(c for c, m in zip(passage, spelling.marked(passage), strict=True) if m) == "eheh"
    lines = rule.rewrite("\n".join("abcdefghij"), generator)
    marked = [i for i, m in enumerate(rule.marked(lines)) if m]
    assert 2 < len(marked) < 10
    for i in marked:
        assert int(lines[i]) == (int(lines[i - 4]) + int(lines[i - 2])) % 10
    texts = [register.rewrite("abc\nde", generator) for _ in range(40)]
    assert set(texts) == {"abc\nde", "@@ABC\nDE"}
    assert register.marked("abc").sum() == 0
    assert register.marked("@@ABC").tolist() == [0, 0, 1, 1, 1]
    assert unchanged("the", generator) == "the"


def test_passages_have_one_length_and_documents_stay_together():
    generator = np.random.default_rng(0)
    assert sample(prose().train, 5, 30, generator, PLANTS["rule"].rewrite).shape == (5, 30)
    passages, owners = probe(prose().held_out[:4], 3, 30, generator, unchanged)
    assert owners == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert all(p in prose().held_out[o] for p, o in zip(passages, owners, strict=True))
    assert general_features(passages).shape == (12 * 29, len(GENERAL))


def test_a_character_is_predicted_from_those_before_it():
    torch.manual_seed(0)
    model = CharacterModel(16, 2, 2, 12).eval()
    ids = encoded(["abcdefghijkl", "abcdefgxxxxx"])
    logits = model(ids)
    torch.testing.assert_close(logits[0, :7], logits[1, :7])
    assert not torch.allclose(logits[0, 7:], logits[1, 7:])
    published = CharacterModel()
    assert sum(p.numel() for p in published.parameters()) == pytest.approx(1.03e6, rel=0.05)


def test_found_needs_all_three_nulls():
    def rows(seed, arm, pvalues):
        nulls = ("inputs", "isotropic", "weights", "span")
        return [
            {"seed": seed, "arm": arm, "step": 100, "statistic": "planted: rule", "null": null, "pvalue": p}
            for null, p in zip(nulls, pvalues, strict=True)
        ]

    table = polars.DataFrame(
        rows(1, "rule", (0.01, 0.01, 0.01, 0.9))
        + rows(2, "rule", (0.01, 0.2, 0.01, 0.01))
        + rows(1, "none", (0.01, 0.01, 0.3, 0.01))
    )
    found = {(row["planted"]): (row["found"], row["seeds"]) for row in plant_summary(table).iter_rows(named=True)}
    assert found == {True: (1, 2), False: (0, 1)}
