import json

import numpy as np
import pytest
import torch

import spectral_edge as se
from spectral_edge.cli import main
from spectral_edge.report import write_recording_report
from spectral_edge.report.recording_page import draw_film
from spectral_edge.report.recordings import draw_recording, is_recording
from spectral_edge.store import StoreError

CONFIG = {"kind": "recording", "model": "Net$", "window": 4, "every": 2, "storage": "sketch"}


def planted(floor=None):
    """Windows in which σ falls by 1, 2, 3 from one to the next, ever smaller."""
    return [
        {
            "step": step,
            "singular_values": [6.0 / step, 6.0 / step, 3.0 / step, 1.0 / step],
            "gap_ratios": [1.0, 2.0, None],
            "position": 2,
            "eigengaps": [0.0, 27.0 / step**2, 8.0 / step**2],
            "rotation_degrees": None if step == 8 else 45.0,
            "drift": None if step == 8 else 0.25,
            "noise_floor": floor,
        }
        for step in (8, 16, 24)
    ]


def lines_of(axes):
    return [line.get_ydata() for line in axes.lines]


def test_what_is_drawn_is_what_is_logged():
    figure = draw_recording(planted(floor=0.15), CONFIG, "log").figure
    sigma, gaps, position, turn, eigengap, drift = figure.axes
    assert [list(line) for line in lines_of(sigma)[:4]] == [[c / s for s in (8, 16, 24)] for c in (6, 6, 3, 1)]
    assert list(lines_of(sigma)[4]) == [0.15] * 3
    assert list(lines_of(gaps)[3]) == [2.0] * 3
    assert list(position.lines[0].get_ydata()) == [2, 2, 2]
    np.testing.assert_allclose(lines_of(eigengap)[0], [27 / 64, 27 / 256, 27 / 576])
    np.testing.assert_allclose(lines_of(turn)[0], [np.nan, 45, 45])
    np.testing.assert_allclose(lines_of(drift)[0], [np.nan, 0.25, 0.25])
    assert figure.get_suptitle() == r"Net\$, W = 4, every 2, uncentred, sketch"


def test_gaps_below_the_noise_floor_have_open_marks():
    """σ₃ = 3/step is below 0.15 from step 24 on, σ₂ = 6/step never."""
    gaps = draw_recording(planted(floor=0.15), CONFIG, "log").figure.axes[1]
    filled, hollow = gaps.lines[4], gaps.lines[5]  # the second gap, σ₂/σ₃
    assert (list(filled.get_xdata()), list(hollow.get_xdata())) == ([8, 16], [24])
    assert hollow.get_markerfacecolor() == "white"
    exact = draw_recording(planted(), CONFIG, "log").figure.axes
    assert len(exact[0].lines) == 4
    assert [len(line.get_xdata()) for line in exact[1].lines] == [3, 3, 0] * 3


@pytest.mark.parametrize(
    ("key", "value"),
    [("singular_values", None), ("gap_ratios", []), ("position", "two"), ("drift", [1]), ("step", 10**400)],
)
def test_a_damaged_log_is_named(key, value):
    lines = planted()
    lines[1][key] = value
    with pytest.raises(StoreError, match=f"the log: .*'?{key}"):
        draw_recording(lines, CONFIG, "the log")


def test_the_command_draws_a_recording(tmp_path, capsys):
    torch.manual_seed(0)
    model = torch.nn.Linear(6, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = tmp_path / "run"
    with se.watch(model, optimizer, parameters="weight", window=4, run_dir=run, verbose=False):
        with pytest.raises(StoreError, match="nothing is logged"):
            write_recording_report(run, tmp_path)
        for _ in range(12):
            optimizer.zero_grad()
            model(torch.randn(16, 6)).square().mean().backward()
            optimizer.step()
    assert is_recording(run)
    main(["report", str(run), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["report"] == str(run / "report.html")
    assert {path.name for path in (run / "figures").iterdir()} == {"recording.png", "recording.pdf"}
    assert not is_recording(tmp_path)


def test_norms_loss_and_layers_are_drawn_where_they_are_logged():
    """v₁ lies half in each layer, of which one has a quarter of the entries: twice its share, and two thirds."""
    shapes = {"a.0.weight": [2, 5], "a.1.weight": [6, 5]}
    watched = {"weight_norm": 4.0, "decay_share": 0.5, "noted": {"loss": 2.0}, "learning_rate": 0.1}
    lines = [
        line | watched | {"update_norm": 8.0 / line["step"], "layer_shares": {"a.0": 0.5, "a.1": 0.5}}
        for line in planted()
    ]
    axes = draw_recording(lines, CONFIG | {"parameters": shapes}, "log").figure.axes
    ratio, layers = axes[4], axes[5]
    np.testing.assert_allclose(lines_of(ratio)[0], [8 / 8 / 4, 8 / 16 / 4, 8 / 24 / 4])
    drawn = [list(line) for panel in axes for line in lines_of(panel)]
    assert [2.0, 2.0, 2.0] in drawn
    assert [0.5, 0.5, 0.5] in drawn
    expected = np.log2([[0.5 / 0.25] * 3, [0.5 / 0.75] * 3])
    np.testing.assert_allclose(layers.collections[0].get_array(), expected)
    assert [label.get_text() for label in layers.get_yticklabels()] == ["a.0", "a.1"]
    del lines[1]["layer_shares"]
    unknown = draw_recording(lines, CONFIG | {"parameters": shapes}, "log").figure.axes[5]
    assert not unknown.collections


def recorded(run, labels, forward=None, inputs=None):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with se.watch(model, optimizer, parameters="weight", window=2, run_dir=run, verbose=False) as recorder:
        recorder.keep_modes(torch.eye(3) if inputs is None else inputs, forward, k=1, labels=labels)
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(16, 3)).square().mean().backward()
            optimizer.step()
    return se.Recording(run).modes()


def test_the_page_lists_inputs_by_how_much_a_direction_moves_them(tmp_path):
    kept = recorded(tmp_path / "run", ["<first>", "second", "third"])
    page = write_recording_report(tmp_path / "run", tmp_path / "out").read_text()
    share = kept.energy[0] / kept.energy[0].sum()
    names = ["&lt;first&gt;", "second", "third"]
    expected = [f"<li>{names[i]}: {100 * float(share[i]):.1f} %</li>" for i in share.argsort(descending=True).tolist()]
    places = [page.index(line) for line in expected]
    assert places == sorted(places)
    assert "<first>" not in page
    assert "<script" not in page
    assert (tmp_path / "out" / "figures" / "modes.png").stat().st_size > 5000


@pytest.mark.parametrize(("n", "named"), [(3, 3), (50, 20)])
def test_rows_of_the_film_are_named_as_the_reader_named_them(tmp_path, n, named):
    names = [f"input {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(n)]
    kept = recorded(tmp_path / "run", names, inputs=torch.randn(n, 3))
    drawing = draw_film([kept, kept], "run x, window of 2 updates")
    axes = drawing.figure.axes[0]
    shares = kept.energy[0] / kept.energy[0].sum()
    order = shares.argsort(descending=True).tolist()
    texts = [label.get_text() for label in axes.get_yticklabels()]
    assert len(texts) == named
    for place, text in zip(axes.get_yticks(), texts, strict=True):
        assert text == kept.labels[order[int(place)]]
    assert drawing.sources == ("run x, window of 2 updates",)


def test_tokens_have_the_colour_of_what_a_direction_does_to_them(tmp_path):
    """Four numbers an input, for the last four of five tokens."""
    kept = recorded(tmp_path / "run", [list("abcde"), list("fghij"), list("klmno")])
    page = write_recording_report(tmp_path / "run", tmp_path).read_text()
    assert page.count('<span class="apart">') == 3  # nothing predicts a first token
    for token, value in (("b", kept.response[0, 0, 0]), ("o", kept.response[0, 2, 3])):
        kind = "up" if value > 0 else "down"
        size = float(value.abs() / kept.response[0].abs().flatten().quantile(0.99))
        assert f'class="{kind}" style="--s:{min(1, round(size, 2)):g}' in page.split(f">{token}</span>")[0][-90:]
        assert f'title="{float(value):+.3g}">{token}</span>' in page


def test_a_recording_without_modes_says_how_to_keep_them(tmp_path):
    run = tmp_path / "run"
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with se.watch(model, optimizer, parameters="weight", window=2, run_dir=run, verbose=False):
        for _ in range(2):
            model(torch.randn(4, 3)).square().mean().backward()
            optimizer.step()
    assert "keep_modes" in write_recording_report(run, tmp_path).read_text()
