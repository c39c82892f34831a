"""Token modes against automatic differentiation and finite steps; masks; tables; the page; what is refused."""

import json
import re

import pytest
import torch
from torch import nn

import spectral_edge as se
from spectral_edge.language import tokens
from support.language_models import Characters, TinyLM


def model_of(dtype=torch.float64, **settings):
    torch.manual_seed(0)
    return TinyLM(**settings).to(dtype)


def case(dtype=torch.float64, n=5, t=7, k=3):
    model = model_of(dtype)
    parameters = se.select_parameters(model, ".")
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(k, parameters.dim, generator=generator).to(dtype)
    ids = torch.randint(0, 11, (n, t), generator=generator)
    return model, parameters, directions / directions.norm(dim=1, keepdim=True), ids


def log_probabilities(model, ids, **inputs):
    logits = model(ids, **inputs).logits[:, :-1]
    return logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_signed_is_the_inner_product_with_each_token_s_gradient(dtype, tolerance):
    model, parameters, directions, ids = case(dtype)
    found = se.token_modes(model, directions, ids, parameters=parameters)
    values = log_probabilities(model, ids)
    for n in range(len(ids)):
        for t in range(ids.shape[1] - 1):
            gradients = torch.autograd.grad(values[n, t], list(parameters.parameters.values()), retain_graph=True)
            expected = directions @ torch.cat([g.reshape(-1) for g in gradients])
            torch.testing.assert_close(found.signed[:, n, t], expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found.log_probability, values.detach(), rtol=tolerance, atol=tolerance)


def test_kl_tends_to_the_sensitivity_times_epsilon_squared():
    model, parameters, directions, ids = case(k=1)
    found = se.token_modes(model, directions, ids, parameters=parameters).sensitivity[0]
    before = model(ids).logits[:, :-1].log_softmax(-1).detach()
    errors = []
    for epsilon in (1e-2, 1e-3):
        moved = model_of()
        shifts = parameters.unflatten(epsilon * directions[0])
        with torch.no_grad():
            for name, weight in moved.named_parameters():
                weight.add_(shifts[name])
        after = moved(ids).logits[:, :-1].log_softmax(-1).detach()
        kl = (before.exp() * (before - after)).sum(-1)
        errors.append(float((kl / epsilon**2 - found).abs().max() / found.max()))
    assert errors[1] < 5e-3
    assert errors[1] < 0.2 * errors[0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_number(side):
    model, parameters, directions, ids = case()
    alone = se.token_modes(model, directions, ids, parameters=parameters)
    padding = torch.full((len(ids), 4), 3)
    parts = (padding, ids) if side == "left" else (ids, padding)
    mask = torch.cat([torch.full_like(part, int(part is ids)) for part in parts], 1)
    batch = {"input_ids": torch.cat(parts, 1), "attention_mask": mask, "length": [7] * 5}
    found = se.token_modes(model, directions, batch, parameters=parameters)
    kept = slice(4, None) if side == "left" else slice(None, 6)
    for name in ("signed", "sensitivity", "log_probability"):
        values = getattr(found, name)
        torch.testing.assert_close(values[..., kept], getattr(alone, name), rtol=1e-9, atol=1e-12)
        assert values.isfinite().sum() == getattr(alone, name).numel()


def test_labels_say_what_is_ignored():
    model, parameters, directions, ids = case()
    labels = ids.clone()
    labels[:, :3] = -100  # the prompt
    found = se.token_modes(model, directions, {"input_ids": ids, "labels": labels}, parameters=parameters)
    assert found.signed[:, :, :2].isnan().all()
    assert found.signed[:, :, 2:].isfinite().all()


def test_numbers_do_not_depend_on_how_the_work_is_cut(monkeypatch):
    model, parameters, directions, ids = case(k=9)
    whole = se.token_modes(model, directions, ids, parameters=parameters)
    for bytes_at_once, batch_size in ((1, 16), (2_000, 2), (2**28, 1)):
        monkeypatch.setattr(tokens, "_BYTES_AT_ONCE", bytes_at_once)
        found = se.token_modes(model, directions, ids, parameters=parameters, batch_size=batch_size)
        torch.testing.assert_close(found.signed, whole.signed, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found.sensitivity, whole.sensitivity, rtol=1e-9, atol=1e-12)


def test_central_differences_agree_and_say_so():
    model, parameters, directions, ids = case()
    exact = se.token_modes(model, directions, ids, parameters=parameters)
    found = se.token_modes(
        model, directions, ids, parameters=parameters, method="central_difference", relative_epsilon=1e-4
    )
    assert (exact.method, found.method) == ("jvp", "central_difference")
    torch.testing.assert_close(found.signed, exact.signed, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.sensitivity, exact.sensitivity, rtol=1e-4, atol=1e-5)


def test_an_edge_is_taken_as_its_directions_and_any_module_with_logits_is_read():
    model = model_of(torch.float32, plain=True)
    parameters = se.attention_weights(model)
    updates = torch.randn(6, parameters.dim, generator=torch.Generator().manual_seed(2))
    edge = se.spectral_edge(updates)
    ids = torch.randint(0, 11, (3, 5))
    found = se.token_modes(model, edge, ids, k=2)
    torch.testing.assert_close(found.signed, se.token_modes(model, edge.directions(2), ids).signed)
    assert len(se.token_modes(model, edge, ids).signed) == edge.position


def test_the_model_is_left_as_it_was():
    model, parameters, directions, ids = case()
    model.train()
    before, state = parameters.flatten().clone(), torch.get_rng_state()
    se.token_modes(model, directions, ids, parameters=parameters, method="central_difference")
    assert model.training
    assert torch.equal(parameters.flatten(), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_logit_of_minus_infinity_has_no_weight():
    class Masked(TinyLM):
        def forward(self, input_ids):
            logits = super().forward(input_ids).logits
            return logits.index_fill(-1, torch.tensor([10]), -torch.inf)

    torch.manual_seed(0)
    model = Masked().double()
    parameters = se.select_parameters(model, ".")
    direction = torch.randn(1, parameters.dim, generator=torch.Generator().manual_seed(1)).double()
    found = se.token_modes(model, direction, torch.randint(0, 10, (2, 5)), parameters=parameters)
    assert found.signed.isfinite().all()
    assert (found.sensitivity > 0).all()


class Bigram(nn.Module):
    """Logits of the next token are a row of a table."""

    def __init__(self, n=11):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(n, n))

    def forward(self, ids):
        return self.table[ids]


@pytest.fixture
def raised():
    """After "b" the token "c" is raised by 1, and "d" lowered by 2: known to the last digit."""
    model, change = Bigram(), torch.zeros(11, 11)
    change[1, 2], change[1, 3] = 1.0, -2.0
    ids = torch.tensor([[0, 1, 2, 9], [4, 1, 3, 8], [5, 7, 6, 5]])
    return se.token_modes(model, change.reshape(1, -1), ids, parameters=se.select_parameters(model, "."))


def test_a_planted_rule_is_at_the_top(raised):
    mean = -1 / 11
    table = raised.top(1, 4, Characters())
    assert table["token"].to_list() == ["d", "c"]
    assert table["signed"].to_list() == pytest.approx([-2 - mean, 1 - mean], rel=1e-6)
    assert table["context"].to_list() == ["eb", "ab"]
    assert table["position"].to_list() == [2, 2]
    variance = (1 + 4) / 11 - mean**2
    assert table["sensitivity"].to_list() == pytest.approx([variance / 2] * 2, rel=1e-6)
    assert raised.top(1, 1)["id"].to_list() == [2]


def test_sequences_are_listed_by_how_much_they_move(raised):
    table = raised.prompts(1, Characters())
    assert table["sequence"].to_list()[-1] == 2
    assert table["tokens"].to_list() == [3, 3, 3]
    assert table.filter(sequence=2)["rms"].item() == 0
    assert table.filter(sequence=1)["signed"].item() == pytest.approx((-2 + 1 / 11) / 3, rel=1e-6)


def test_the_page_has_every_token_and_number_and_trusts_no_text(raised, tmp_path):
    page = raised.html(tmp_path / "new" / "page.html", Characters()).read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page
    assert page.count("</script>") == 2
    assert "http://" not in page
    assert "https://" not in page
    numbers = json.loads(re.search(r'id="numbers">(.*?)</script>', page, re.DOTALL)[1])
    assert numbers["signed"][0][1][1] == pytest.approx(float(raised.signed[0, 1, 1]), rel=1e-3)
    assert len(numbers["log_probability"]) == 3


def test_what_cannot_be_read_is_named():
    model, parameters, directions, ids = case()

    def refused(batch, match, model=model, directions=directions, parameters=parameters, **settings):
        with pytest.raises(ValueError, match=match):
            se.token_modes(model, directions, batch, parameters=parameters, **settings)

    refused(ids.float(), "integers")
    refused(ids[:, :1], "at least 2")
    refused({"tokens": ids}, "input_ids")
    refused({"input_ids": ids, "attention_mask": torch.zeros_like(ids)}, "masked")
    refused({"input_ids": ids, "attention_mask": torch.ones(2, 2)}, "attention_mask")
    refused({"input_ids": ids, "labels": ids.roll(-1, 1)}, "shifted")
    refused({"input_ids": ids, "labels": (ids + 1) % 11}, "other tokens")
    refused(ids + 5, "tokenizer is another model's")
    refused(ids, "at least one sequence", batch_size=0)
    refused(ids, "directions must be", directions=directions[:, :-1])
    other = model_of()
    refused(ids, "another model", parameters=se.select_parameters(other, "."))
    flat = nn.Sequential(nn.Embedding(11, 8), nn.Flatten(1)).double()
    own = se.select_parameters(flat, ".")
    refused(ids, "logits", model=flat, directions=torch.ones(1, 88).double(), parameters=own)
    found = se.token_modes(model, directions, ids, parameters=parameters)
    with pytest.raises(ValueError, match="directions 1 to 3"):
        found.top(4)
    with pytest.raises(ValueError, match="decode"):
        found.top(1, tokenizer="gpt2")

    class Small(Characters):
        letters = ("a", "b")

    with pytest.raises(ValueError, match="2 tokens"):
        found.html("never.html", Small())


class Adapted(nn.Module):
    """As an adapter of PEFT: it hands on whatever the model inside it takes."""

    def __init__(self, model):
        super().__init__()
        self.inner = model

    def get_base_model(self):
        return self.inner

    def forward(self, input_ids, **settings):
        return self.inner(input_ids, **settings)


def test_a_model_inside_an_adapter_gets_positions_of_padded_sequences():
    model, _, _, ids = case()
    padded = torch.cat([torch.zeros(len(ids), 3, dtype=ids.dtype), ids], dim=1)
    mask = torch.cat([torch.zeros(len(ids), 3, dtype=ids.dtype), torch.ones_like(ids)], dim=1)
    found = se.token_log_probabilities(Adapted(model), {"input_ids": padded, "attention_mask": mask})
    torch.testing.assert_close(found[:, 3:], log_probabilities(model, ids))


def test_a_batch_of_masked_sequences_has_no_numbers_and_token_modes_refuse_it():
    model, parameters, directions, ids = case()
    mask = torch.zeros_like(ids)
    mask[:, 0] = 1
    batch = {"input_ids": ids, "attention_mask": mask}
    assert se.token_log_probabilities(model, batch).isnan().all()
    with pytest.raises(ValueError, match="all 30 next tokens are masked"):
        se.token_modes(model, directions, batch, parameters=parameters)
    mask[-1] = 1
    listed = se.token_modes(model, directions, batch, parameters=parameters).prompts()
    assert listed["sequence"][0] == len(ids) - 1
    assert listed["sensitivity"].null_count() == len(ids) - 1
