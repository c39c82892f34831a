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
        training.note(se.Evaluation(0, 0.0, 0.0, 1.0, accuracy))
        history.append(training.grokked)
    assert history == [False] * 5 + [True]


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
    second = se.Training(SMALL)
    second.load_state_dict(*first.state_dict())
    for _ in range(5):
        whole.step()
        second.step()
    assert second.steps == whole.steps == 10
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="extra"):
        se.TrainingConfig(learning_rat=1.0)
