"""As test_every_loop_is_unchanged, of a loop that torch.compile has to compile first."""

from noninterference.test_every_loop_is_unchanged import IN_EVERY_STORAGE, watching_changes_nothing


@IN_EVERY_STORAGE
def test_training_is_bitwise_the_same(settings, tmp_path):
    watching_changes_nothing("compiled", settings, tmp_path)
