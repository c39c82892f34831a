import numpy as np
import pytest
import torch
import torch.nn.functional as F

import spectral_edge as se
from oracles.plain_transformer import PlainTransformer


def twins(**shape):
    torch.manual_seed(42)
    plain = PlainTransformer(**shape)
    torch.manual_seed(42)
    ours = se.ModularTransformer(**shape)
    return plain, ours


def a_batch(p, n=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, p, (n,), generator=generator), torch.randint(0, p, (n,), generator=generator)


def test_parameters_names_and_random_draws_are_the_reference_ones():
    plain, ours = twins()
    assert list(plain.state_dict()) == list(ours.state_dict())
    assert all(torch.equal(w, ours.state_dict()[name]) for name, w in plain.state_dict().items())
    first, second = ours.encoder.layers
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"p": 11, "d_model": 24, "n_heads": 3, "n_layers": 1, "d_mlp": 20},
        {"p": 11, "d_model": 16, "n_heads": 1, "n_layers": 3, "d_mlp": 8},
    ],
)
def test_outputs_and_gradients_equal_the_plain_twin(shape):
    plain, ours = twins(**shape)
    with torch.no_grad():  # layers and biases that differ, so that nothing is tested at a symmetric point
        for w, v in zip(plain.parameters(), ours.parameters(), strict=True):
            w += 0.1 * torch.randn(w.shape, generator=torch.Generator().manual_seed(w.numel()))
            v.copy_(w)
    a, b = a_batch(shape.get("p", 97))
    logits, residual = ours(a, b, return_residual=True)
    torch.testing.assert_close(residual, plain.residual(a, b), rtol=1e-5, atol=1e-5)
    alone = ours.residual(torch.stack([a, b], dim=1))
    assert torch.equal(alone, residual)
    assert not alone.requires_grad
    torch.testing.assert_close(logits, plain(a, b), rtol=1e-5, atol=1e-5)
    labels = (a + b) % shape.get("p", 97)
    F.cross_entropy(logits, labels).backward()
    F.cross_entropy(plain(a, b), labels).backward()
    for (name, w), v in zip(plain.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(v.grad, w.grad, rtol=1e-4, atol=2e-6, msg=lambda m, name=name: f"{name}: {m}")


def test_ten_training_steps_equal_the_plain_twin():
    training = se.Training(se.TrainingConfig())
    plain, _ = twins()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0)
    batches = np.random.RandomState(42)
    pairs = torch.from_numpy(training.task.pairs[training.split.train])
    labels = torch.from_numpy(training.task.labels[training.split.train])
    for _ in range(10):
        training.step()
        index = torch.from_numpy(batches.randint(0, len(pairs), 512))
        loss = F.cross_entropy(plain(pairs[index, 0], pairs[index, 1]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
    for (name, w), v in zip(plain.named_parameters(), training.model.parameters(), strict=True):
        if name.endswith("in_proj_bias"):  # the key bias has no effect; Adam magnifies the rounding of its gradient
            third = len(w) // 3
            w, v = torch.cat([w[:third], w[2 * third :]]), torch.cat([v[:third], v[2 * third :]])
        torch.testing.assert_close(v, w, rtol=1e-3, atol=2e-5, msg=lambda m, name=name: f"{name}: {m}")
    a, b = a_batch(97)
    torch.testing.assert_close(training.model(a, b), plain(a, b), rtol=1e-3, atol=1e-4)


def test_several_tasks_have_a_head_each():
    model = se.ModularTransformer(p=11, tasks=("add", "mul"), d_model=16, n_heads=2, d_mlp=8)
    logits = model(*a_batch(11))
    assert {name: value.shape for name, value in logits.items()} == {"add": (64, 11), "mul": (64, 11)}
    assert {"head_add.weight", "head_mul.bias"} <= set(model.state_dict())
    assert model.head_of("mul").weight is model.get_parameter("head_mul.weight")


@pytest.mark.parametrize("pair", [(11, 0), (0, 11), (-1, 0), (0, -1)])
def test_tokens_out_of_range_are_refused(pair):
    model = se.ModularTransformer(p=11, d_model=16, n_heads=2, d_mlp=8)
    a, b = torch.tensor(pair)[:, None]
    with pytest.raises(IndexError):
        model(a, b)
    with pytest.raises(IndexError):
        se.functional_modes(model, torch.ones(1, se.attention_weights(model).dim), torch.tensor([pair]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_heads": 3}, "not divisible"),
        ({"n_layers": 0}, "at least 1"),
        ({"tasks": ("add", "add")}, "distinct"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        se.ModularTransformer(**arguments)


def test_sizes_and_names_that_make_no_model_are_named():
    with pytest.raises(ValueError, match="'mul' is one string"):
        se.ModularTransformer(7, tasks="mul")
    with pytest.raises(ValueError, match="n_heads = 0"):
        se.ModularTransformer(7, n_heads=0)


def test_pairs_of_another_shape_are_named_and_autocast_changes_nothing():
    model = se.ModularTransformer(7, d_model=8, n_heads=2, d_mlp=8)
    weights = se.attention_weights(model)
    tangents = weights.unflatten(torch.ones(1, weights.dim))
    with pytest.raises(ValueError, match=r"\(N, 2\), not \(4, 3\)"):
        model.residual_jvp(torch.zeros(4, 3, dtype=torch.int64), tangents)
    pairs = torch.tensor([[1, 2], [3, 4]])
    with torch.no_grad():
        expected = model.residual_jvp(pairs, tangents)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(model.residual_jvp(pairs, tangents), expected)
