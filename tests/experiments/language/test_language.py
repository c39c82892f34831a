"""The evidence on a language model: text, plants and their marks, the model, the protocol's rules."""

import numpy as np
import polars
import pytest
import torch

from spectral_edge.experiments.language import language_answers, plant_summary
from spectral_edge.experiments.language.corpus import code, encoded, probe, prose, sample
from spectral_edge.experiments.language.features import TEXT, text_features
from spectral_edge.experiments.language.model import CharacterModel
from spectral_edge.experiments.language.plants import PLANTS, unchanged


def grams(texts, n=40):
    return {text[i : i + n] for text in texts for i in range(len(text) - n + 1)}


def test_held_out_documents_repeat_nothing_of_the_training_documents():
    for corpus in (prose(), code()):
        assert len(corpus.train) > len(corpus.held_out) > 20
        assert max(max(map(ord, text)) for text in corpus.held_out) < 128
        known = grams(corpus.train)
        for text in corpus.held_out:
            own = grams([text])
            assert len(own & known) < 0.06 * len(own)


def test_what_is_planted_is_marked_and_nothing_else():
    generator = np.random.default_rng(0)
    spelling, rule, register = (PLANTS[name] for name in ("spelling", "rule", "register"))
    passage = spelling.rewrite("The other theme of the list", generator)
    assert passage == "Teh other theme of teh list"
    assert "".join(c for c, m in zip(passage, spelling.marked(passage), strict=True) if m) == "eheh"
    texts = [rule.rewrite("x" * 60, generator) for _ in range(40)]
    sums = [text for text in texts if text != "x" * 60]
    assert 10 < len(sums) < 30
    for text in sums:
        marked = np.flatnonzero(rule.marked(text[:60]))
        assert len(marked) == 10
        assert all(int(text[i]) == (int(text[i - 4]) + int(text[i - 2])) % 10 for i in marked)
    shouted = [register.rewrite("ab c\nd1.", generator) for _ in range(40)]
    assert set(shouted) == {"ab c\nd1.", "@@AB C\nD1."}
    assert register.marked("ab c").sum() == 0
    assert "".join(c for c, m in zip("@@AB C\nD1.", register.marked("@@AB C\nD1."), strict=True) if m) == "ABCD1"
    assert unchanged("the", generator) == "the"


def test_passages_have_one_length_and_come_from_their_documents():
    generator = np.random.default_rng(0)
    assert sample(prose().train, 5, 30, generator, PLANTS["rule"].rewrite).shape == (5, 30)
    passages, owners = probe(prose().held_out[:4], 3, 30, generator, unchanged)
    assert owners == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert len(set(passages)) == 12
    assert all(p in prose().held_out[o] for p, o in zip(passages, owners, strict=True))
    features = dict(zip(TEXT, text_features(["the cat, a"]).T, strict=True))
    assert features["place in word"].tolist() == [2, 3, 0, 1, 2, 3, 0, 0, 1]
    assert features["punctuation"].tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0]
    column = TEXT.index("log frequency after the character before")
    assert text_features(["th"])[0, column] > text_features(["tq"])[0, column] + 2


def test_a_character_is_predicted_from_those_before_it():
    torch.manual_seed(0)
    model = CharacterModel(16, 2, 2, 12).eval()
    ids = encoded(["abcdefghijkl", "abcdefgxxxxx"])
    logits = model(ids)
    torch.testing.assert_close(logits[0, :7], logits[1, :7])
    assert not torch.allclose(logits[0, 7:], logits[1, 7:])
    published = CharacterModel()
    assert sum(p.numel() for p in published.parameters()) == pytest.approx(1.03e6, rel=0.05)


def read(seed, arm, step, statistic, measured=0.5, direction="v1", **pvalues):
    nulls = {"inputs": 0.02, "isotropic": 0.02, "weights": 0.02, "span": 0.5} | pvalues
    return [
        {
            "seed": seed, "arm": arm, "step": step, "direction": direction, "statistic": statistic, "null": null,
            "measured": measured, "null_mean": 0.1, "pvalue": p,
        }
        for null, p in nulls.items()
    ]  # fmt: skip


def taught(seed, arm, step, gained, plant):
    return {"seed": seed, "arm": arm, "step": step, "plant": plant, "log_p_begin": -3.0, "log_p_end": -3.0 + gained}


def tables(found=(True,) * 6, elsewhere=(False,) * 6, learned=(True,) * 6, added=0.1, text=0.5):
    """Six seeds: each plant found and learned as said, in its own arm and where nothing was planted."""
    readings, lessons, explained = [], [], []
    for seed in range(6):
        for plant in PLANTS:
            steps = (500, 600, 700) if plant == "rule" else (100,)
            window = 600 if plant == "rule" else 100
            for step in steps:
                gained = 2.0 if step >= window and learned[seed] else 0.1
                lessons += [taught(seed, plant, step, gained, plant), taught(seed, "none", step, 0.0, plant)]
                for direction, measured in (("v1", 0.5 + 0.01 * seed), ("displacement", 0.4)):
                    p = 0.02 if found[seed] and step == window else 0.6
                    readings += read(seed, plant, step, f"planted: {plant}", measured, direction, isotropic=p)
                    p = 0.02 if elsewhere[seed] and step == window else 0.6
                    readings += read(seed, "none", step, f"planted: {plant}", measured, direction, inputs=p)
        readings += read(seed, "base", 300, "text", text + 0.01 * seed)
        for edge, by, value in (("update", "edge", added), ("pieces", "edge", 0.05), ("update", "span", 0.02)):
            row = {"seed": seed, "arm": "base", "step": 100, "kind": "gain", "edge": edge, "by": by}
            explained.append(row | {"value": value + 0.001 * seed * (edge == "update")})
    rows = {"readings": readings, "learned": lessons, "explained": explained}
    return {name: polars.DataFrame(own) for name, own in rows.items()}


def answers(**settings):
    return [answer.answer for answer in language_answers(tables(**settings))]


def test_every_rule_can_say_yes_no_and_undecided():
    yes = answers()
    assert yes == ["yes"] * 8
    few = (True, False, False, False, False, False)
    some = (True, True, True, False, False, False)
    assert answers(found=few)[1:4] == ["no"] * 3
    assert answers(found=some)[1:4] == ["undecided"] * 3
    assert answers(elsewhere=some)[1:4] == ["undecided"] * 3, "a plant that is found everywhere is not found"
    assert answers(found=few, learned=some)[1:4] == ["undecided"] * 3, "what was not learned says nothing"
    assert answers(added=0.05)[0] == "no"
    assert answers(added=0.0665)[0] == "undecided"
    assert answers(text=0.05)[7] == "no"


def test_a_plant_is_judged_in_the_window_that_taught_it():
    own = tables(found=(True, False, True, True, True, True))
    found = plant_summary(own["readings"], own["learned"]).filter(plant="rule", direction="v1")
    where = found.filter(planted=True).row(0, named=True)
    assert (where["found"], where["learned"], where["seeds"], where["passes_span"]) == (5, 6, 6, 0)
    assert where["gained"] == pytest.approx(2.0)
    assert found.filter(planted=False)["found"].item() == 0
