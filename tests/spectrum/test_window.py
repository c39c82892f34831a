import pytest
import torch

import spectral_edge as se
from spectral_edge.spectrum import gram_matrix, stacked_updates


def filled(n, size=4, dim=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    window = se.UpdateWindow(size, dim)
    updates = torch.randn(n, dim, generator=generator)
    for update in updates:
        window.push(update)
    return window, updates


@pytest.mark.parametrize("n", [4, 5, 7, 8, 13])
def test_rolling_gram_is_that_of_the_last_updates(n):
    window, updates = filled(n)
    assert torch.equal(window.updates, updates[-4:])
    assert torch.equal(window.gram_matrix, gram_matrix(updates[-4:]))


def test_reading_every_step_changes_nothing():
    read_often, updates = filled(0), torch.randn(11, 60)
    often, once = se.UpdateWindow(4, 60), se.UpdateWindow(4, 60)
    for update in updates:
        often.push(update)
        once.push(update)
        _ = often.gram_matrix
    torch.testing.assert_close(often.gram_matrix, once.gram_matrix, rtol=1e-14, atol=1e-14)
    assert read_often[0].full is False


def test_edge_is_not_changed_by_later_pushes():
    window, _ = filled(6)
    edge = window.edge()
    before = edge.directions(2)
    window.push(torch.ones(60))
    assert torch.equal(edge.directions(2), before)


def test_state_dict_continues_bitwise():
    window, updates = filled(5)
    _ = window.gram_matrix  # part of the Gram matrix is older than the last push
    window.push(updates[0])
    other = se.UpdateWindow(4, 60)
    other.load_state_dict(window.state_dict())
    window.push(torch.ones(60))
    other.push(torch.ones(60))
    assert torch.equal(window.updates, other.updates)
    assert torch.equal(window.gram_matrix, other.gram_matrix)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: se.UpdateWindow(1, 5), "at least 2"),
        (lambda: se.UpdateWindow(3, 0), "empty"),
        (lambda: filled(3)[0].edge(), "only 3 of 4 updates"),
        (lambda: filled(3)[0].push(torch.zeros(5)), r"shape \(5,\), expected \(60,\)"),
        (lambda: filled(3)[0].load_state_dict(se.UpdateWindow(5, 60).state_dict()), "stored window"),
        (lambda: se.stacked_updates([torch.zeros(3)] * 4, window=4), "needs 5 snapshots, there are 4"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_stacked_updates_are_the_last_differences():
    theta = [torch.tensor([float(t**2)]) for t in range(5)]
    assert se.stacked_updates(theta, window=2).tolist() == [[5.0], [7.0]]


def test_an_edge_without_a_copy_is_refused_once_the_window_was_restored():
    window = se.UpdateWindow(2, 3, rows=torch.zeros(2, 3))
    for row in torch.eye(3)[:2]:
        window.push(row)
    state = {name: value.clone() for name, value in window.state_dict().items()}
    edge = window.edge(center=False)
    window.load_state_dict(state)
    with pytest.raises(ValueError, match="restored or cleared"):
        edge.directions(1)
    edge = window.edge(center=False)
    window.push(torch.ones(3))
    with pytest.raises(ValueError, match="moved on by 1 updates"):
        edge.directions(1)


def test_updates_with_a_gradient_history_leave_it_behind():
    window = se.UpdateWindow(2, 3)
    for scale in (1.0, 2.0):
        window.push(scale * torch.tensor([1.0, 2.0, 4.0], requires_grad=True) ** 2)
    assert not window.edge(center=False).directions(1).requires_grad


def test_a_window_of_one_update_is_refused():
    with pytest.raises(ValueError, match="window = 1"):
        stacked_updates([torch.zeros(2)] * 3, 1)
