"""Sharded models that the scenarios watch, and how they are trained; the same in all processes."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module


def mlp() -> nn.Sequential:
    """Rows 7, 5 and 2: uneven over two or three processes, and none for the third."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 2))


def fsdp() -> nn.Module:
    model = mlp()
    for layer in (model[0], model[2]):
        fully_shard(layer)
    return fully_shard(model)


def tensor_parallel() -> nn.Module:
    """Columns of the first layer and rows of the second, replicated biases."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    return parallelize_module(model, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})


def hybrid() -> nn.Module:
    """Replicated over one mesh dimension, sharded over another; with 2 or 3 processes the other has size 1."""
    size = dist.get_world_size()
    shape = (2, 2) if size == 4 else (size, 1)
    return fully_shard(mlp(), mesh=init_device_mesh("cpu", shape, mesh_dim_names=("replicate", "shard")))


def two_meshes() -> nn.Module:
    """FSDP2 over tensor parallelism: the linear layers on two dimensions, the norm on one."""
    size = dist.get_world_size()
    mesh = init_device_mesh("cpu", (2, 2) if size == 4 else (1, size), mesh_dim_names=("data", "tensor"))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2), nn.LayerNorm(2))
    parallelize_module(model, mesh["tensor"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
    return fully_shard(model, mesh=mesh["data"])


def partly_plain() -> nn.Module:
    """The last layer is not sharded: the same in all processes, and counted once."""
    model = mlp()
    fully_shard(model[0])
    fully_shard(model[2])
    return model


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, seed: int = 0) -> list[float]:
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(torch.randn(8, 4, generator=generator)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-2, foreach=False)  # which takes shards and plain ones together


def whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


def full_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: whole(parameter) for name, parameter in model.named_parameters()}
