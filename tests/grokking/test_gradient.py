"""The gradient in closed form against automatic differentiation, and stacks of models against single ones."""

import pytest
import torch
import torch.nn.functional as F

import spectral_edge as se
from spectral_edge.grokking.gradient import loss_and_gradient
from spectral_edge.grokking.stack import ModelStack

P, BATCH = 11, 40
SMALL = {"p": P, "d_model": 16, "n_heads": 2, "d_mlp": 24}


def models_and_batches(n, tasks, n_layers):
    torch.manual_seed(0)
    models = [se.ModularTransformer(**SMALL, tasks=tasks, n_layers=n_layers).double() for _ in range(n)]
    with torch.no_grad():  # gains, biases and layers that differ: nothing is tested at a symmetric point
        for parameter in (parameter for model in models for parameter in model.parameters()):
            parameter += 0.1 * torch.randn_like(parameter)
    return models, torch.randint(P, (n, 2, BATCH)), torch.randint(P, (n, len(tasks), BATCH))


def automatic(model, tokens, labels):
    """Loss and gradient by automatic differentiation of the model's forward pass."""
    model.zero_grad()
    logits = model(*tokens)
    each = list(logits.values()) if isinstance(logits, dict) else [logits]
    loss = sum(F.cross_entropy(z, y) for z, y in zip(each, labels, strict=True))
    loss.backward()
    return loss.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def rows_of(tokens):
    return tokens + torch.tensor([0, P])[:, None]


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("tasks", [("add",), ("add", "mul", "x2_y2")])
def test_loss_and_gradient_equal_automatic_differentiation(tasks, n_layers):
    models, tokens, labels = models_and_batches(3, tasks, n_layers)
    stacked = {
        name: torch.stack([dict(model.named_parameters())[name].detach() for model in models])
        for name, _ in models[0].named_parameters()
    }
    gradients = {name: torch.full_like(value, torch.nan) for name, value in stacked.items()}  # all is overwritten
    losses = loss_and_gradient(stacked, gradients, rows_of(tokens), labels, SMALL["n_heads"])
    for s, model in enumerate(models):
        loss, expected = automatic(model, tokens[s], labels[s])
        torch.testing.assert_close(losses[s], loss, rtol=1e-13, atol=0)
        for name, gradient in expected.items():
            torch.testing.assert_close(
                gradients[name][s], gradient, rtol=1e-10, atol=1e-15, msg=lambda m, name=name: f"{name}: {m}"
            )


@pytest.mark.parametrize("max_norm", [0.05, 100.0])
def test_clipping_is_that_of_torch_for_each_model_alone(max_norm):
    models, tokens, labels = models_and_batches(2, ("add",), 2)
    stack = ModelStack(models, max_norm)
    stack.gradients(rows_of(tokens), labels)
    ours = [[parameter.grad.clone() for parameter in model.parameters()] for model in models]
    for model, gradients, own_tokens, own_labels in zip(models, ours, tokens, labels, strict=True):
        automatic(model, own_tokens, own_labels)
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        for gradient, parameter in zip(gradients, model.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-10, atol=1e-15)


def test_a_stack_reads_what_its_models_have_become():
    models, tokens, labels = models_and_batches(2, ("add",), 2)
    stack = ModelStack(models, 1e9)
    models[0].load_state_dict(models[1].state_dict())  # in place: seen through the views
    models[1].float().double()  # elsewhere in memory: gathered again
    losses = stack.gradients(rows_of(tokens), labels)
    for model, loss, own_tokens, own_labels in zip(models, losses, tokens, labels, strict=True):
        torch.testing.assert_close(loss, automatic(model, own_tokens, own_labels)[0], rtol=1e-12, atol=0)


def test_models_of_different_shapes_do_not_stack():
    with pytest.raises(ValueError, match="one shape"):
        ModelStack([se.ModularTransformer(**SMALL), se.ModularTransformer(**SMALL | {"d_mlp": 8})], 1.0)


def test_heads_must_agree_although_they_change_no_shape():
    with pytest.raises(ValueError, match="as many heads"):
        ModelStack([se.ModularTransformer(**SMALL), se.ModularTransformer(**SMALL | {"n_heads": 4})], 1.0)


@pytest.mark.parametrize(
    "change", [{"max_grad_norm": 0.5}, {"n_heads": 4}, {"batch_size": 8}, {"operation": "add+mul", "nonzero": True}]
)
def test_what_one_pass_cannot_serve_is_refused_by_name(change):
    one, other = (se.Training(se.TrainingConfig(**SMALL | changes)) for changes in ({}, change))
    with pytest.raises(ValueError, match=r"must agree in .*(max_grad_norm|n_heads|batch_size|number of operations)"):
        next(se.train_together([one, other]))


def test_frozen_parameters_stay():
    training = se.Training(se.TrainingConfig(**SMALL))
    training.model.tok_emb.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    training.step()
    after = training.model.state_dict()
    assert torch.equal(after["tok_emb.weight"], before["tok_emb.weight"])
    assert not torch.equal(after["head.weight"], before["head.weight"])


def seeds(**changes):
    common = {"p": P, "d_model": 16, "n_heads": 2, "d_mlp": 16, "batch_size": 32, "max_steps": 30} | changes
    return [se.TrainingConfig(seed=seed, **common) for seed in (42, 137, 2024)]


def in_float64(configs):
    trainings = [se.Training(config) for config in configs]
    for training in trainings:
        training.model.double()
    return trainings


def test_seeds_trained_together_are_those_trained_alone():
    together, alone = in_float64(seeds()), in_float64(seeds())
    together[1].step()  # runs of a stack need not be at one step
    seen = []
    for training in se.train_together(together):
        seen.append(training.config.seed)
        if training.steps == 20 and training.config.seed == 137:
            training.stop_step = 20  # finished: the others go on without it
    for training, steps in zip(alone, (30, 20, 30), strict=True):
        while training.steps < steps:
            training.step()
    assert seen.count(137) == 19
    for one, other in zip(together, alone, strict=True):
        assert one.steps == other.steps
        assert_same_state(one, other, rtol=1e-9, atol=1e-12)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_at_the_papers_size_they_are_so_bitwise():
    configs = [se.TrainingConfig(seed=seed, max_steps=3) for seed in (42, 137, 2024)]
    together, alone = ([se.Training(config) for config in configs] for _ in range(2))
    for _ in se.train_together(together):
        pass
    for one, other in zip(together, alone, strict=True):
        while not other.finished:
            other.step()
        assert_same_state(one, other, rtol=0, atol=0)


def assert_same_state(one, other, **tolerance):
    for (name, value), expected in zip(one.state_dict()[0].items(), other.state_dict()[0].values(), strict=True):
        torch.testing.assert_close(value, expected, **tolerance, msg=lambda m, name=name: f"{name}: {m}")


def test_a_recorder_sees_one_run_of_a_stack():
    together, alone = in_float64(seeds()), in_float64(seeds())
    with (
        se.watch(together[2].model, together[2].optimizer, window=5, verbose=False) as stacked,
        se.watch(alone[2].model, alone[2].optimizer, window=5, verbose=False) as single,
    ):
        for _ in se.train_together(together):
            pass
        while not alone[2].finished:
            alone[2].step()
        torch.testing.assert_close(stacked.window.updates, single.window.updates, rtol=1e-6, atol=1e-12)


def test_nothing_in_a_step_waits_for_a_device():
    """Emulated on the CPU: no operation of a step but AdamW's own reads a value."""
    with torch.device("meta"):  # a tensor without values: whoever reads one fails
        stack = ModelStack([se.ModularTransformer(**SMALL) for _ in range(3)], 1.0)
        tokens, labels = torch.zeros(3, 2, BATCH, dtype=torch.int64), torch.zeros(3, 1, BATCH, dtype=torch.int64)
        assert stack.gradients(tokens, labels).shape == (3,)
