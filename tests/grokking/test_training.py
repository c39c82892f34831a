import numpy as np
import pytest
import torch

import spectral_edge as se

SMALL = se.TrainingConfig(operation="add", p=7, d_model=16, n_heads=2, d_mlp=16, batch_size=16, max_steps=12)


def test_batches_are_the_stream_of_the_seeded_global_generator():
    training = se.Training(se.TrainingConfig(p=7, d_model=8, n_heads=2, d_mlp=8))
    np.random.seed(42)  # noqa: NPY002
    expected = np.random.randint(0, 24, 512)  # noqa: NPY002
    assert (training._batches.randint(0, 24, 512) == expected).all()


def test_stopping_rule_needs_three_evaluations_in_a_row():
    training = se.Training(SMALL)
    history = []
    for accuracy in (0.99, 0.99, 0.5, 0.98, 0.98, 0.98):
        training.note(se.Evaluation(len(history), 0.0, 0.0, 1.0, accuracy, {"add": accuracy}))
        history.append(training.grokked)
    assert history == [False] * 5 + [True]
    training.note(se.Evaluation(6, 0.0, 0.0, 1.0, 0.5, {"add": 0.5}))
    assert (training.grokked, training.stop_step) == (True, 5)


def test_min_steps_goes_on_after_the_rule_is_met():
    training = se.Training(SMALL.model_copy(update={"min_steps": 3, "stop_patience": 1}))
    training.note(se.Evaluation(0, 0.0, 0.0, 1.0, 1.0, {"add": 1.0}))
    finished = []
    for _ in range(3):
        finished.append(training.finished)
        training.step()
    assert finished == [False] * 3
    assert training.finished


def test_evaluation_is_mean_loss_and_accuracy():
    training = se.Training(SMALL)
    with torch.no_grad():
        training.model.head.weight.zero_()
        training.model.head.bias.zero_()
    evaluation = training.evaluate()
    assert evaluation.train_loss == pytest.approx(np.log(7), rel=1e-6)
    assert evaluation.test_loss == pytest.approx(np.log(7), rel=1e-6)


def test_state_dict_continues_bitwise():
    whole, first = se.Training(SMALL), se.Training(SMALL)
    for _ in range(5):
        whole.step()
        first.step()
    state = first.state_dict()
    for _ in range(5):
        whole.step()
    for _ in range(2):  # what goes on from a state leaves it as it was
        second = se.Training(SMALL)
        second.load_state_dict(*state)
        for _ in range(5):
            second.step()
        assert second.steps == whole.steps == 10
        for name, value in whole.model.state_dict().items():
            assert torch.equal(value, second.model.state_dict()[name]), name


def test_shared_trunk_sums_the_losses_of_its_operations_on_one_domain():
    config = SMALL.model_copy(update={"operation": "add+mul+x2_y2", "nonzero": True})
    training = se.Training(config)
    assert (training.task.pairs > 0).all()
    assert len(training.task.pairs) == 36
    a, b = torch.from_numpy(training.task.pairs[training.split.test]).T
    logits = training.model(a, b)
    losses, accuracies = {}, {}
    for name in ("add", "mul", "x2_y2"):
        c = {"add": a + b, "mul": a * b, "x2_y2": a * a + b * b}[name] % 7
        log_likelihood = logits[name].log_softmax(-1)[torch.arange(len(c)), c]
        losses[name] = -log_likelihood.mean().item()
        accuracies[name] = (logits[name].argmax(-1) == c).double().mean().item()
    evaluation = training.evaluate()
    assert evaluation.test_loss == pytest.approx(sum(losses.values()), rel=1e-6)
    assert evaluation.test_accuracies == accuracies
    assert evaluation.test_accuracy == min(accuracies.values())
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    training.step()
    moved = [name for name, value in training.model.state_dict().items() if not torch.equal(value, before[name])]
    assert {"head_add.weight", "head_mul.weight", "head_x2_y2.weight", "tok_emb.weight"} <= set(moved)


def test_operations_with_different_domains_do_not_share_a_trunk():
    with pytest.raises(ValueError, match=r"add is defined on 49 pairs and mul on 36; .* set nonzero=True"):
        se.Training(SMALL.model_copy(update={"operation": "add+mul"}))


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="extra"):
        se.TrainingConfig(learning_rat=1.0)


def test_a_hundred_steps_end_as_near_to_automatic_differentiation_as_rounding_allows():
    """The paper's model: copies whose learning rates differ by a float32 step are 2e-7 apart by then (findings, 12)."""
    closed, plain = (se.Training(se.TrainingConfig()) for _ in range(2))
    for _ in range(100):
        closed.step()
        a, b, labels = plain.draw()
        loss = torch.nn.functional.cross_entropy(plain.model(a, b - 97), labels)
        plain.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.model.parameters(), 1.0)
        plain.optimizer.step()
    one, other = (se.attention_weights(training.model).flatten().double() for training in (closed, plain))
    distance = float((one - other).norm() / other.norm())
    moved = float(
        (other - se.attention_weights(se.Training(se.TrainingConfig()).model).flatten()).norm() / other.norm()
    )
    assert moved > 0.01
    assert 0 < distance < 1e-6


@pytest.mark.parametrize("missing", ["optimizer.0.exp_avg", "model.tok_emb.weight", "batches.key"])
def test_a_state_that_lacks_a_tensor_is_refused_and_changes_nothing(missing):
    config = se.TrainingConfig(p=7, d_model=8, n_heads=2, d_mlp=16, batch_size=16)
    trained, fresh = se.Training(config), se.Training(config)
    for _ in range(3):
        trained.step()
    tensors, scalars = trained.state_dict()
    before = fresh.state_dict()[0]
    with pytest.raises(KeyError, match=missing):
        fresh.load_state_dict({name: value for name, value in tensors.items() if name != missing}, scalars)
    with pytest.raises(ValueError, match=missing):
        fresh.load_state_dict(tensors | {missing: torch.zeros(1, 2, 3)}, scalars)
    with pytest.raises(KeyError, match="above"):
        fresh.load_state_dict(tensors, {name: value for name, value in scalars.items() if name != "above"})
    with pytest.raises(ValueError, match="no 'further'"):
        fresh.load_state_dict(tensors | {"model.further": torch.zeros(1)}, scalars)
    after, counts = fresh.state_dict()
    assert counts["steps"] == 0
    assert all(torch.equal(after[name], value) for name, value in before.items())
