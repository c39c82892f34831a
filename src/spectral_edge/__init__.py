"""Find the few directions a network trains along, read them as functions of the input, test whether they are special.

>>> import torch, spectral_edge as se
>>> edge = se.spectral_edge(torch.randn(20, 1000, generator=torch.Generator().manual_seed(0)))
>>> edge.directions(3).shape
torch.Size([3, 1000])
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
