"""A comparison on 30 million parameters holds at most three copies of them beside window and tested direction."""

import subprocess
import sys

SCRIPT = """
import resource
import torch
import spectral_edge as se

torch.set_num_threads(1)
model = torch.nn.Sequential(*(torch.nn.Linear(1000, 1000, bias=False) for _ in range(30)))
parameters = se.select_parameters(model, "weight")
inputs = torch.randn(4, 1000)
window = torch.empty(4, parameters.dim)
for row, drawn in zip(window, se.iterate_random_directions(4, parameters)):
    row.copy_(drawn[0])
edge = se.spectral_edge(window, center=False)
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
next(se.iterate_responses(model, window[:1], inputs, parameters=parameters))
before = peak()
size = {"size": lambda h: float(h.square().mean()), "largest": se.of_direction(lambda v: float(v.square().max()))}
found = se.compare(model, edge, inputs, size, parameters=parameters, k=1, draws=DRAWS)
assert found.table["null"].n_unique() == 4
print((peak() - before) / (4 * parameters.dim))
"""


def measured(draws):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("DRAWS", str(draws))],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout)


def test_memory_does_not_grow_with_the_draws():
    # What the allocator keeps differs from run to run, and only adds.
    copies = [min(measured(draws) for _ in range(2)) for draws in (2, 8)]
    assert max(copies) <= 1 + 3  # the tested direction, and three
    assert copies[1] <= copies[0] + 0.5
