"""A loop that torch.compile has to compile first."""

from recording.test_loops import updates_are_differences


def test_updates_are_the_differences_of_the_parameters():
    updates_are_differences("compiled")
