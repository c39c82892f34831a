import torch

# One thread per test process: tests run two at a time on two cores.
torch.set_num_threads(1)
