"""Training loops as people write them, each (model, optimizers, step) on the same small task."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Loop:
    """A training loop that is called one training step at a time.

    `state` gives all that must be equal if watching changes nothing.
    """

    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    step: Callable[[], Tensor]

    def state(self) -> list[Tensor]:
        tensors = list(self.model.state_dict().values())
        for optimizer in self.optimizers:
            for values in optimizer.state_dict()["state"].values():
                if isinstance(values, dict):
                    tensors += [v for v in values.values() if isinstance(v, Tensor)]
        return [t.detach().clone() for t in [*tensors, torch.get_rng_state()]]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        index = (x[:, 0].abs() * 10).long() % 11
        return self.head(torch.tanh(self.mix(self.embedding(index))))


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def batches(seed: int = 0) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(16, 4, generator=generator)


def loss_of(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).square().mean() + 0.0 * torch.rand(())  # uses the global generator, as dropout would


def simple(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Callable[[], Tensor]) -> Loop:
    def step() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, batch())
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Loop(model, [optimizer], step)


def plain() -> Loop:
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return simple(model, optimizer, batches())


def accumulation() -> Loop:
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    batch = batches()

    def step() -> Tensor:
        total = torch.zeros(())
        for _ in range(4):
            loss = loss_of(model, batch()) / 4
            loss.backward()
            total += loss.detach()
        optimizer.step()
        optimizer.zero_grad()
        return total

    return Loop(model, [optimizer], step)


def mixed_precision(fused: bool) -> Loop:
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=50)  # overflows at first
    batch = batches()

    def step() -> Tensor:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = 10 * loss_of(model, batch())
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return Loop(model, [optimizer], step)


def two_optimizers() -> Loop:
    torch.manual_seed(0)
    model = mlp()
    matrices = [p for p in model.parameters() if p.ndim == 2]
    optimizers = [
        torch.optim.Muon(matrices, lr=1e-2),
        torch.optim.AdamW([p for p in model.parameters() if p.ndim < 2], lr=1e-2),
    ]
    batch = batches()

    def step() -> Tensor:
        loss = loss_of(model, batch())
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    return Loop(model, optimizers, step)


def compiled() -> Loop:
    torch.compiler.reset()  # what was compiled before counts towards a limit, above which a step runs as it is
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch = batches()
    forward = torch.compile(model, backend="eager")

    @torch.compile(backend="eager")
    def step_on(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = forward(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Loop(forward, [optimizer], lambda: step_on(batch()))


def tied() -> Loop:
    torch.manual_seed(0)
    model = Tied()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return simple(model, optimizer, batches())


def frozen() -> Loop:
    """The first layer does not train, as under LoRA."""
    loop = plain()
    for parameter in loop.model[0].parameters():
        parameter.requires_grad_(False)
    return simple(loop.model, torch.optim.AdamW(loop.model[2].parameters(), lr=1e-2), batches())


def closure() -> Loop:
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    batch = batches()

    def step() -> Tensor:
        x = batch()

        def evaluate() -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(model, x)
            loss.backward()
            return loss

        return optimizer.step(evaluate).detach()

    return Loop(model, [optimizer], step)


def averaged() -> Loop:
    """Weights are pulled towards their moving average after each step."""
    loop = plain()
    average = copy.deepcopy(loop.model)
    inner = loop.step

    def step() -> Tensor:
        loss = inner()
        with torch.no_grad():
            for p, q in zip(loop.model.parameters(), average.parameters(), strict=True):
                q.lerp_(p, 0.5)
                p.lerp_(q, 0.1)
        return loss

    return Loop(loop.model, loop.optimizers, step)


def strided() -> Loop:
    """Weights that are not contiguous in memory: channels last, and a transposed matrix."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(3, 5)).to(memory_format=torch.channels_last)
    model[2].weight = nn.Parameter(torch.randn(3, 5).t())
    assert not any(p.is_contiguous() for p in (model[0].weight, model[2].weight))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    return simple(model, optimizer, lambda: torch.randn(8, 2, 2, 2, generator=generator))


LOOPS = {
    "plain": plain,
    "accumulation": accumulation,
    "mixed_precision": lambda: mixed_precision(fused=False),
    "mixed_precision_fused": lambda: mixed_precision(fused=True),
    "two_optimizers": two_optimizers,
    "compiled": compiled,
    "tied": tied,
    "frozen": frozen,
    "closure": closure,
    "averaged": averaged,
    "strided": strided,
}
