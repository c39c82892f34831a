"""Token modes of language models of Transformers: gradients, masks, padding, tied embeddings, half precision."""

import pytest
import torch
import transformers as hf

import spectral_edge as se

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SPECIAL = {"vocab_size": 97, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


def gpt2():
    return hf.GPT2LMHeadModel(hf.GPT2Config(n_positions=32, n_embd=32, n_layer=2, n_head=4, **SPECIAL))


def llama(tied=False):
    config = hf.LlamaConfig(**SIZE, **SPECIAL, num_key_value_heads=2, tie_word_embeddings=tied)
    return hf.LlamaForCausalLM(config)


def tied_llama():
    return llama(tied=True)


def neox():
    return hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**SIZE, **SPECIAL, tie_word_embeddings=False))


@pytest.fixture(params=[gpt2, llama, tied_llama, neox], ids=lambda make: make.__name__)
def model(request):
    torch.manual_seed(0)
    return request.param().double().eval()


def batch_of(side):
    ids = torch.randint(3, 97, (4, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if side == "right":
        mask[1, 5:] = 0
    if side == "left":
        mask[1, :4] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_signed_is_the_inner_product_with_each_token_s_gradient(model, side):
    batch = batch_of(side)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    parameters = se.select_parameters(model, ".")
    directions = torch.randn(2, parameters.dim, generator=torch.Generator().manual_seed(2)).double()
    directions /= directions.norm(dim=1, keepdim=True)
    found = se.token_modes(model, directions, batch, parameters=parameters)
    assert found.method == "jvp"
    positions = {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)} if side == "left" else {}
    logits = model(**batch, **positions).logits[:, :-1]
    values = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    counts = (mask[:, 1:] * mask[:, :-1]).bool()
    assert torch.equal(found.signed[0].isfinite(), counts)
    for n, t in counts.nonzero().tolist():
        gradients = torch.autograd.grad(values[n, t], list(parameters.parameters.values()), retain_graph=True)
        expected = directions @ torch.cat([g.reshape(-1) for g in gradients])
        # Norms of some architectures compute in float32 whatever the weights are.
        torch.testing.assert_close(found.signed[:, n, t], expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_number(model, side):
    batch = batch_of(side)
    parameters = se.attention_weights(model)
    direction = torch.randn(1, parameters.dim, generator=torch.Generator().manual_seed(2)).double()
    direction /= direction.norm()
    padded = se.token_modes(model, direction, batch)
    row = batch["attention_mask"][1].bool()
    alone = se.token_modes(model, direction, batch["input_ids"][1:2, row])
    kept = padded.sensitivity[0, 1].isfinite()
    torch.testing.assert_close(padded.sensitivity[0, 1][kept], alone.sensitivity[0, 0], rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(padded.signed[0, 1][kept], alone.signed[0, 0], rtol=1e-5, atol=1e-7)


def test_half_precision_is_near_full_precision():
    torch.manual_seed(0)
    model = gpt2()
    parameters = se.attention_weights(model)
    direction = torch.randn(1, parameters.dim, generator=torch.Generator().manual_seed(2))
    direction /= direction.norm()
    batch = batch_of("right")
    full = se.token_modes(model, direction, batch)
    half = se.token_modes(model.to(torch.bfloat16), direction, batch)
    assert half.method == "jvp"
    assert half.signed.dtype == torch.float32
    known = full.signed.isfinite()
    error = (half.signed - full.signed)[known].norm() / full.signed[known].norm()
    assert error < 0.03


def test_a_trainer_s_collator_and_explained_change_go_together():
    torch.manual_seed(0)
    model = gpt2()
    batch = batch_of("right") | {
        "labels": batch_of("right")["input_ids"].masked_fill(batch_of("right")["attention_mask"] == 0, -100)
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with se.watch(model, optimizer, parameters="attention", window=5, verbose=False) as recorder:
        for _ in range(6):
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
    found = se.explained_change(
        model, recorder.edge(), batch, forward=se.token_log_probabilities, parameters=recorder.parameters, k=2, draws=3
    )
    assert found.entries == 4 * 8 - 4
    modes = se.token_modes(model, recorder.edge(), batch, parameters=recorder.parameters)
    assert modes.signed.isfinite().sum() == found.entries * len(modes.signed)
