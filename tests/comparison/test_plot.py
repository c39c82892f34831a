"""What of a drawn comparison can be measured; how it looks is for the eye."""

import itertools

import spectral_edge as se
from support.linear_models import DIM, INS, gaussian, linear_model


def energy(h):
    return float(h.square().sum())


def test_many_statistics_of_long_names_stay_on_the_picture():
    names = [f"a_statistic_with_a_name_of_many_words_on_held_out_inputs_{i}" for i in range(6)]
    model, weights = linear_model()
    statistics = dict.fromkeys(names, energy)
    found = se.compare(model, gaussian(2, DIM), gaussian(20, INS), statistics, parameters=weights, draws=20)
    figure = found.plot()
    figure.draw_without_rendering()
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == 4
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in titles)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles[:4]))
    assert "90 %" in figure.legends[0].get_title().get_text()
